// Completes dist/: licences of what is in it, and the hash of every source file it was built from.
import { createHash } from 'node:crypto'
import { readFileSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

// The source packages whose code ends up in the script.
const SHIPPED = ['svelte', 'esm-env', 'clsx']
const ROOTS = [
  'index.html', 'package.json', 'package-lock.json', 'svelte.config.js', 'tsconfig.json',
  'vite.config.ts', 'src', 'tools',
]

function* files(path) {
  if (!statSync(path).isDirectory()) {
    yield path
    return
  }
  for (const name of readdirSync(path).sort()) yield* files(join(path, name))
}

const licences = SHIPPED.map((name) => {
  const folder = join('node_modules', name)
  const { version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'))
  const file = readdirSync(folder).find((one) => /^licen[cs]e(\.|$)/iu.test(one))
  const text = file === undefined ? '' : readFileSync(join(folder, file), 'utf8')
  return `${name} ${version} (${license})\n\n${text.trim()}\n`
})
writeFileSync('dist/LICENCES', licences.join(`\n${'-'.repeat(72)}\n\n`))

const sources = ROOTS.flatMap((root) => [...files(root)]).map((path) => {
  const hash = createHash('sha256').update(readFileSync(path)).digest('hex')
  return `${hash}  ${path}`
})
writeFileSync('dist/SOURCES', `${sources.join('\n')}\n`)

const EXPECTED = ['LICENCES', 'SOURCES', 'app.css', 'app.js', 'index.html', 'verify.js']
for (const name of readdirSync('dist')) {
  if (!EXPECTED.includes(name)) rmSync(join('dist', name), { recursive: true })
}
