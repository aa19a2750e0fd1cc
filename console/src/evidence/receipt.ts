/** Receipts of answers and manifests of exports: notes that the log signed. */

import { decimal, demand, equal, fromBase64, hex, sha256 } from './bytes.ts'
import type { Bytes } from './bytes.ts'
import { parseNote, signer } from './note.ts'
import type { Verifier } from './note.ts'

/** Lines of a signed text, each beginning with its name. */
function fields(text: string, first: string, names: string[]): Record<string, string> {
  const lines = text.split('\n')
  demand(lines[0] === first && lines.at(-1) === '', 'receipt')
  demand(lines.length === names.length + 2, 'receipt')
  return Object.fromEntries(
    names.map((name, place) => {
      const line = lines[place + 1] ?? ''
      demand(line.startsWith(`${name} `), 'receipt')
      return [name, line.slice(name.length + 1)]
    }),
  )
}

export interface Receipt {
  rows: number
  total: number
  size: number
  indexes: number[]
}

/** Checks a receipt over the bytes of its answer. */
export async function checkReceipt(
  note: string, body: Bytes, keys: Verifier[],
): Promise<Receipt> {
  const opened = parseNote(note)
  const key = await signer(opened, keys)
  const names = ['origin', 'tree', 'time', 'caller', 'asked', 'rows', 'indexes', 'digests', 'body']
  const of = fields(opened.text, 'daybook-receipt/v1', names)
  demand(of['origin'] === key.name, 'origin')
  demand(equal(fromBase64(of['body'] ?? ''), await sha256(body)), 'body')
  const [rows, total] = (of['rows'] ?? '').split(' ').map(decimal)
  const indexes = unpack(fromBase64(of['indexes'] ?? ''))
  demand(rows !== undefined && total !== undefined && rows === indexes.length, 'rows')
  return { rows, total, size: decimal((of['tree'] ?? '').split(' ')[0] ?? ''), indexes }
}

/** Indexes from varints of folded differences. */
export function unpack(bytes: Bytes): number[] {
  const indexes: number[] = []
  let before = 0
  let value = 0
  let factor = 1
  for (const byte of bytes) {
    value += (byte % 128) * factor
    factor *= 128
    if (byte >= 128) continue
    before += value % 2 === 0 ? value / 2 : -(value + 1) / 2
    indexes.push(before)
    value = 0
    factor = 1
  }
  demand(factor === 1, 'receipt')
  return indexes
}

export interface Manifest {
  format: string
  rows: number
  bytes: number
  sha256: string
  tree_size: number
  question: string
  receipt: string
}

/** Checks a manifest against its signed text, and a file against the manifest, if there is one. */
export async function checkManifest(
  manifest: Manifest, file: Bytes | undefined, keys: Verifier[],
): Promise<void> {
  const opened = parseNote(manifest.receipt)
  const key = await signer(opened, keys)
  const names = ['origin', 'tree', 'caller', 'trails', 'question', 'format', 'rows', 'digests', 'file']
  const of = fields(opened.text, 'daybook-export/v1', names)
  demand(of['origin'] === key.name, 'origin')
  const [size, hash] = (of['file'] ?? '').split(' ')
  demand(decimal(size ?? '') === manifest.bytes, 'size')
  demand(hex(fromBase64(hash ?? '')) === manifest.sha256, 'file')
  demand(decimal(of['rows'] ?? '') === manifest.rows, 'rows')
  demand(of['format'] === manifest.format, 'receipt')
  demand(JSON.parse(of['question'] ?? '') === manifest.question, 'receipt')
  demand(decimal((of['tree'] ?? '').split(' ')[0] ?? '') === manifest.tree_size, 'receipt')
  if (file === undefined) return
  demand(file.length === manifest.bytes, 'size')
  demand(hex(await sha256(file)) === manifest.sha256, 'file')
}

