// The types of resources, as Azure/bicep-types-az describes them: an array of types that refer to each other by index.
import fs from 'node:fs';
import path from 'node:path';
import { bodyOf, properties, unquoted } from './check.mjs';

const required = 1, readOnly = 2, deployTimeConstant = 8;
const ofBicep = new Set(['parent', 'scope', 'dependsOn']); // properties of the language, on every resource

const loaded = new Map();
function load(folder, type) {
  const [name, version] = type.split('@');
  const file = path.join(folder, `${name.split('/')[0].toLowerCase()}@${version}.json`);
  if (!loaded.has(file)) loaded.set(file, fs.existsSync(file) ? JSON.parse(fs.readFileSync(file)) : []);
  const all = loaded.get(file);
  const resource = all.find((t) => t.$type === 'ResourceType' && t.name.toLowerCase() === type.toLowerCase());
  return resource && { all, body: resolve(all, resource.body) };
}

const resolve = (all, reference) => all[Number(reference.$ref.slice(2))];

/** checkTypes reports to say what the resource's description does not allow; without a folder of descriptions nothing. */
export function checkTypes(node, folder, say) {
  const type = unquoted(node.namedChildren.find((c) => c.type === 'string'));
  if (!folder || /\bexisting\b/.test(node.text.split('=')[0])) return;
  const described = load(folder, type);
  if (!described) return say(node, `no description of ${type}`);
  compare(described.all, described.body, bodyOf(node), '', say);
}

function compare(all, type, node, where, say) {
  if (node.type === 'parenthesized_expression') return compare(all, type, node.namedChild(0), where, say);
  if (node.type === 'ternary_expression') {
    for (const arm of ['consequence', 'alternative']) compare(all, type, node.childForFieldName(arm), where, say);
    return;
  }
  if (node.type === 'for_statement') node = { type: 'array', namedChildren: [node.childForFieldName('body')] };
  if (node.type === 'call_expression') return compareCall(all, type, node, where, say);
  const wrong = (want) => say(node, `${where} wants ${want}`);
  switch (type.$type) {
    case 'ObjectType': return node.type === 'object' ? compareObject(all, type, node, where, say) : literal(node) && wrong('an object');
    case 'DiscriminatedObjectType': return node.type === 'object' ? compareKind(all, type, node, where, say) : literal(node) && wrong('an object');
    case 'ArrayType':
      if (node.type !== 'array') return literal(node) && wrong('an array');
      return node.namedChildren.forEach((c) => compare(all, resolve(all, type.itemType), c, `${where}[]`, say));
    case 'StringType': return literal(node) && node.type !== 'string' && wrong('a string');
    case 'IntegerType': return literal(node) && node.type !== 'number' && wrong('a number');
    case 'BooleanType': return literal(node) && node.type !== 'boolean' && wrong('true or false');
    case 'StringLiteralType': return plain(node) && unquoted(node) !== type.value && wrong(type.value);
    case 'UnionType': return compareUnion(all, type, node, where, say);
  }
}

/** literal tells whether the kind of a node's value is seen in it: not of a variable, an operator or a call. */
const literal = (node) => ['string', 'number', 'boolean', 'object', 'array'].includes(node.type);
const plain = (node) => node.type === 'string' && !node.text.includes('${');

/** compareCall looks at the lambda of map, and at what string makes. */
function compareCall(all, type, node, where, say) {
  const [callee, args] = node.namedChildren;
  if (callee.text === 'string' && type.$type !== 'StringType' && type.$type !== 'UnionType') say(node, `${where} is no string`);
  if (callee.text !== 'map' || type.$type !== 'ArrayType') return;
  const lambda = args.namedChild(1);
  compare(all, resolve(all, type.itemType), lambda.namedChild(lambda.namedChildCount - 1), `${where}[]`, say);
}

function compareUnion(all, type, node, where, say) {
  const options = type.elements.map((e) => resolve(all, e));
  if (!plain(node) || options.some((o) => o.$type === 'StringType')) return;
  const values = options.filter((o) => o.$type === 'StringLiteralType').map((o) => o.value);
  if (!values.includes(unquoted(node))) say(node, `${where} wants one of ${values.join(', ')}`);
}

function compareKind(all, type, node, where, say) {
  const kind = properties(node).get(type.discriminator);
  if (!kind) return say(node, `${where}.${type.discriminator} is required`);
  const chosen = type.elements[unquoted(kind.namedChild(1))];
  if (!chosen) return plain(kind.namedChild(1)) && say(kind, `${where}.${type.discriminator} wants one of ${Object.keys(type.elements).join(', ')}`);
  const own = resolve(all, chosen);
  compareObject(all, { ...own, properties: { ...type.baseProperties, ...own.properties } }, node, where, say);
}

function compareObject(all, type, node, where, say) {
  const given = properties(node);
  for (const [name, property] of given) {
    const value = property.namedChild(1);
    const path = where ? `${where}.${name}` : name;
    const described = name.includes('${') ? undefined : type.properties?.[name];
    if (!described) {
      if (type.additionalProperties) compare(all, resolve(all, type.additionalProperties), value, path, say);
      else if (where || !ofBicep.has(name)) say(property, `${path} does not exist`);
      continue;
    }
    if (described.flags & readOnly && !(described.flags & required)) say(property, `${path} cannot be set`);
    compare(all, resolve(all, described.type), value, path, say);
  }
  for (const [name, described] of Object.entries(type.properties ?? {})) {
    const known = described.flags & deployTimeConstant && ['id', 'type', 'apiVersion'].includes(name);
    if (described.flags & required && !(described.flags & readOnly) && !known && !given.has(name)) {
      say(node, `${where ? `${where}.` : ''}${name} is required`);
    }
  }
}
