// types: location is required
resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = { name: 'i' }
