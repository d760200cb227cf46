// check.mjs WRONG FILE...: finds in Bicep files what the compiler would refuse, as far as it is found here:
//
//   syntax      by the grammar of tree-sitter, which cannot read two forms: resourceInput<'...'> and a top-level import of names
//   names       what is used and not declared, declared and not used, or no function
//   modules     a file, parameter or output that does not exist, a required parameter that is not given
//   files       what loadTextContent and its like name
//   types       of resources, in types.mjs: properties that do not exist, cannot be set, are missing, or are of another kind
//
// Every file of the folder WRONG says in its first line what has to be found in it, and nothing else.
import fs from 'node:fs';
import path from 'node:path';
import { Language, Parser } from 'web-tree-sitter';
import { checkTypes } from './types.mjs';

await Parser.init();
const parser = new Parser();
parser.setLanguage(await Language.load(path.join(import.meta.dirname, 'node_modules/tree-sitter-bicep/tree-sitter-bicep.wasm')));

const functions = new Set(('any array concat contains empty environment filter first flatten guid int items json last length ' +
  'loadFileAsBase64 loadJsonContent loadTextContent loadYamlContent map max min range reduce replace resourceGroup resourceId skip sort split ' +
  'string subscription subscriptionResourceId take tenant toLower toUpper trim union uniqueString').split(' '));
const decorators = new Set('allowed description maxLength maxValue metadata minLength minValue secure'.split(' '));

export const unquoted = (node) => node.text.replace(/^'|'$/g, '');
const children = (node, type) => node.namedChildren.filter((c) => c.type === type);

/** File is one parsed file: its declarations by name, and what was found. */
class File {
  constructor(name) {
    this.name = name;
    this.found = [];
    this.root = parser.parse(fs.readFileSync(name, 'utf8')).rootNode;
    this.declared = new Map();
    this.used = new Set();
    for (const node of this.root.namedChildren) {
      const id = node.namedChildren.find((c) => c.type === 'identifier' || c.type === 'compatible_identifier');
      if (!id || !/_declaration$/.test(node.type)) continue;
      if (this.declared.has(id.text) && node.type !== 'output_declaration') this.say(id, `${id.text} is declared twice`);
      if (node.type === 'output_declaration') this.declared.set(`output ${id.text}`, node);
      else this.declared.set(id.text, node);
    }
  }

  say(node, text) {
    this.found.push({ line: node.startPosition.row + 1, column: node.startPosition.column + 1, text });
  }

  kind(name) { return this.declared.get(name)?.type.replace('_declaration', ''); }
}

const files = new Map();
const open = (name) => {
  name = path.resolve(name);
  if (!files.has(name)) files.set(name, fs.existsSync(name) ? new File(name) : null);
  return files.get(name);
};

function checkSyntax(file, node = file.root) {
  if (node.isError) file.say(node, 'cannot be parsed');
  else if (node.isMissing) file.say(node, `${node.type} is missing`);
  else if (node.hasError) for (const c of node.children) checkSyntax(file, c);
}

/** checkNames walks expressions; scope has the names of the loops and lambdas around them. */
function checkNames(file, node, scope) {
  const walk = (n, s = scope) => { if (n) checkNames(file, n, s); };
  switch (node.type) {
    case 'identifier':
      file.used.add(node.text);
      if (!scope.has(node.text) && !file.declared.has(node.text)) file.say(node, `${node.text} is not declared`);
      return;
    case 'object_property': {
      const [key, ...rest] = node.namedChildren;
      if (key.type !== 'identifier') walk(key);
      rest.forEach((r) => walk(r));
      return;
    }
    case 'call_expression': {
      const [callee, args] = node.namedChildren;
      if (callee.type === 'identifier') {
        if (!functions.has(callee.text)) file.say(callee, `${callee.text} is no function that this check knows`);
        if (/^load.*(Content|Base64)$/.test(callee.text)) checkLoaded(file, args);
      } else walk(callee);
      walk(args);
      return;
    }
    case 'lambda_expression': {
      const [params, body] = node.namedChildren;
      const names = params.type === 'identifier' ? [params] : children(params, 'identifier');
      walk(body, new Set([...scope, ...names.map((n) => n.text)]));
      return;
    }
    case 'for_statement': {
      const names = node.namedChildren.flatMap((c) => (c.type === 'for_loop_parameters' ? c.namedChildren : []));
      const initializer = node.childForFieldName('initializer');
      if (initializer) names.push(initializer);
      const body = node.childForFieldName('body');
      for (const c of node.namedChildren) {
        if (c.type === 'for_loop_parameters' || c.equals(initializer ?? node)) continue;
        walk(c, body && c.equals(body) ? new Set([...scope, ...names.map((n) => n.text)]) : scope);
      }
      return;
    }
    case 'decorators':
      for (const d of node.namedChildren) {
        const name = d.namedChild(0).namedChild(0);
        if (!decorators.has(name.text)) file.say(name, `${name.text} is no decorator that this check knows`);
      }
      return;
    case 'member_expression':
      walk(node.childForFieldName('object'));
      checkOutput(file, node);
      return;
    default:
      node.namedChildren.forEach((c) => walk(c));
  }
}

function checkLoaded(file, args) {
  const name = args.namedChild(0);
  const target = path.resolve(path.dirname(file.name), unquoted(name));
  if (!fs.existsSync(target)) file.say(name, `there is no ${unquoted(name)}`);
}

/** checkOutput looks at module.outputs.name. */
function checkOutput(file, node) {
  const outputs = node.childForFieldName('object');
  if (outputs?.type !== 'member_expression' || outputs.childForFieldName('property').text !== 'outputs') return;
  const name = outputs.childForFieldName('object').text.replace(/!$/, '');
  if (file.kind(name) !== 'module') return;
  const module = moduleOf(file, file.declared.get(name));
  const output = node.childForFieldName('property');
  if (module && !module.declared.has(`output ${output.text}`)) file.say(output, `module ${name} has no output ${output.text}`);
}

const moduleOf = (file, node) => open(path.join(path.dirname(file.name), unquoted(children(node, 'string')[0])));

/** bodyOf returns the object of a declaration, behind its condition and loop. */
export function bodyOf(node) {
  let body = node.namedChild(node.namedChildCount - 1);
  while (body && body.type !== 'object') body = body.childForFieldName('body') ?? body.namedChild(body.namedChildCount - 1);
  return body;
}

export const properties = (object) => new Map(children(object, 'object_property').map((p) => [unquoted(p.namedChild(0)), p]));

function checkModule(file, node) {
  const module = moduleOf(file, node);
  if (!module) return file.say(node, `there is no ${unquoted(children(node, 'string')[0])}`);
  const params = properties(bodyOf(node)).get('params');
  const given = params ? properties(params.namedChild(1)) : new Map();
  for (const [name, p] of given) {
    if (module.kind(name) !== 'parameter') file.say(p, `the module has no parameter ${name}`);
  }
  for (const [name, declaration] of module.declared) {
    const optional = declaration.namedChildCount > 2; // a name, a type, and a default
    if (module.kind(name) === 'parameter' && !optional && !given.has(name)) file.say(node, `the module needs the parameter ${name}`);
  }
}

function check(name) {
  const file = open(name);
  checkSyntax(file);
  if (file.found.length > 0) return file.found; // names and types of what cannot be read mean nothing
  for (const node of file.root.namedChildren) {
    if (node.type === 'decorators') checkNames(file, node, new Set());
    if (!/_declaration$/.test(node.type)) continue;
    const id = node.namedChildren.find((c) => c.type === 'identifier');
    for (const c of node.namedChildren) if (!c.equals(id)) checkNames(file, c, new Set());
    if (node.type === 'module_declaration') checkModule(file, node);
    if (node.type === 'resource_declaration') checkTypes(node, process.env.TYPES, (n, text) => file.say(n, text));
  }
  for (const [declared, node] of file.declared) {
    if (/^(parameter|variable)_/.test(node.type) && !file.used.has(declared)) file.say(node, `${declared} is never used`);
  }
  return file.found;
}

const [wrong, ...names] = process.argv.slice(2);
let failures = 0;
for (const name of names) {
  for (const f of check(name)) {
    console.log(`${name}:${f.line}:${f.column}: ${f.text}`);
    failures++;
  }
}
let mistakes = 0;
for (const entry of fs.readdirSync(wrong).filter((e) => e.endsWith('.bicep'))) {
  const name = path.join(wrong, entry);
  const [, typed, want] = /^\/\/ (types: )?(.*)$/m.exec(fs.readFileSync(name, 'utf8'));
  if (typed && !process.env.TYPES) continue;
  const got = check(name).map((f) => f.text).join('; ');
  mistakes++;
  if (got !== want) {
    console.log(`${name}: found "${got}", and it should find "${want}"`);
    failures++;
  }
}
console.log(`${names.length} files, ${mistakes} deliberate mistakes, ${failures} problems`);
process.exit(failures > 0 ? 1 : 0);
