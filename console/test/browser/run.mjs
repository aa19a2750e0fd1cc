// Runs the scenarios one file after another: each starts a server of its own.
import { spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'

const files = readdirSync('test/browser').filter((name) => name.endsWith('.test.mjs')).sort()
const args = ['--test', '--test-concurrency=1', ...files.map((name) => `test/browser/${name}`)]
process.exit(spawnSync(process.execPath, args, { stdio: 'inherit' }).status ?? 1)
