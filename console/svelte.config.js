// The policy of the page has trusted-types 'none': elements are made one by one, never as markup.
export default { compilerOptions: { fragments: 'tree', runes: true, modernAst: true } }
