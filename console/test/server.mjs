// Starts the real program with its demo, or uses the server that CONSOLE_URL names.
import { spawn } from 'node:child_process'
import { existsSync } from 'node:fs'

const START_MS = 60_000

/** @returns {Promise<{url: string, link: string, intake: string, stop: () => void}>} */
export async function startServer() {
  const { CONSOLE_URL: url, CONSOLE_INTAKE: intake = '' } = process.env
  if (url !== undefined) return { url, link: `${url}/console/`, intake, stop: () => undefined }
  const target = process.env.CARGO_TARGET_DIR ?? '../target'
  const binary = process.env.DAYBOOK ?? `${target}/debug/daybook`
  if (!existsSync(binary)) throw new Error(`${binary} is missing: cargo build -p daybook`)
  const child = spawn(binary, ['demo', '--listen', '127.0.0.1:0'], { stdio: ['ignore', 'pipe', 'inherit'] })
  const stop = () => child.kill('SIGINT')
  let text = ''
  child.stdout.setEncoding('utf8')
  const begun = Date.now()
  for await (const part of child.stdout) {
    text += part
    const link = /(http:\/\/[\d.]+:\d+)\/console\/#code=[\w-]+/u.exec(text)
    const token = /Bearer ([0-9a-f]{32})/u.exec(text)
    if (link !== null && token !== null) {
      child.stdout.on('data', () => undefined)
      return { url: link[1], link: link[0], intake: token[1], stop }
    }
    if (Date.now() - begun > START_MS) break
  }
  stop()
  throw new Error(`the demo printed no link to the console:\n${text.slice(-2000)}`)
}
