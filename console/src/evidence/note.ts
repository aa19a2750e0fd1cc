/** Signed notes (C2SP signed-note) and the keys that check them. */

import { concat, decimal, demand, equal, fromBase64, Refused, sha256, utf8 } from './bytes.ts'
import type { Bytes } from './bytes.ts'

const ED25519 = 1
const COSIGNATURE = 4
const NOTE_BYTES_MAX = 1_000_000
const SIGNATURES_MAX = 100

export interface Verifier {
  name: string
  id: Bytes
  kind: number
  key: Bytes
  text: string
}

export interface Signature {
  name: string
  id: Bytes
  bytes: Bytes
}

export interface Note {
  text: string
  signatures: Signature[]
}

/** Reads a verifier key: `name+hex id+base64 of type and key`. */
export async function parseVerifier(line: string): Promise<Verifier> {
  const [, name, id, encoded] = /^([^\s+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)$/u.exec(line.trim()) ?? []
  if (name === undefined || id === undefined || encoded === undefined) throw new Refused('key')
  const bytes = fromBase64(encoded)
  const kind = bytes[0] ?? 0
  demand(bytes.length === 33 && (kind === ED25519 || kind === COSIGNATURE), 'key')
  const hash = (await sha256(concat(utf8(`${name}\n`), bytes))).slice(0, 4)
  const written = Uint8Array.from(id.match(/../gu) ?? [], (pair) => parseInt(pair, 16))
  demand(equal(hash, written), 'key')
  return { name, id: hash, kind, key: bytes.slice(1), text: line.trim() }
}

export function parseNote(text: string): Note {
  demand(text.length <= NOTE_BYTES_MAX, 'note')
  const cut = text.lastIndexOf('\n\n')
  demand(cut > 0 && text.endsWith('\n'), 'note')
  const lines = text.slice(cut + 2, -1).split('\n')
  demand(lines.length <= SIGNATURES_MAX, 'note')
  const signatures = lines.map((line): Signature => {
    const [, name, encoded] = /^— ([^\s+]+) (\S+)$/u.exec(line) ?? []
    if (name === undefined || encoded === undefined) throw new Refused('note')
    const bytes = fromBase64(encoded)
    demand(bytes.length > 4, 'note')
    return { name, id: bytes.slice(0, 4), bytes: bytes.slice(4) }
  })
  return { text: text.slice(0, cut + 1), signatures }
}

/** Whether a key signed the note. A line of the key that does not verify is refused. */
export async function isSignedBy(note: Note, verifier: Verifier): Promise<boolean> {
  const line = note.signatures.find(
    (one) => one.name === verifier.name && equal(one.id, verifier.id),
  )
  if (line === undefined) return false
  let message = utf8(note.text)
  let signature = line.bytes
  if (verifier.kind === COSIGNATURE) {
    demand(signature.length === 72, 'signature')
    const seconds = signature.slice(0, 8).reduce((sum, byte) => sum * 256 + byte, 0)
    message = utf8(`cosignature/v1\ntime ${seconds}\n${note.text}`)
    signature = signature.slice(8)
  }
  demand(signature.length === 64, 'signature')
  demand(await verifies(verifier.key, signature, message), 'signature')
  return true
}

async function verifies(key: Bytes, signature: Bytes, message: Bytes): Promise<boolean> {
  let imported: CryptoKey
  try {
    imported = await crypto.subtle.importKey('raw', key, { name: 'Ed25519' }, false, ['verify'])
  } catch {
    throw new Refused('crypto')
  }
  return crypto.subtle.verify({ name: 'Ed25519' }, imported, signature, message)
}

/** Demands the signature of one of these keys, and says of which. */
export async function signer(note: Note, keys: Verifier[]): Promise<Verifier> {
  for (const key of keys) {
    if (await isSignedBy(note, key)) return key
  }
  throw new Refused('noKey')
}

export interface Checkpoint {
  origin: string
  size: number
  root: Bytes
}

export function parseCheckpoint(text: string): Checkpoint {
  const [origin, size, root] = text.split('\n')
  if (origin === undefined || size === undefined || root === undefined) {
    throw new Refused('checkpoint')
  }
  const bytes = fromBase64(root)
  demand(origin !== '' && bytes.length === 32, 'checkpoint')
  return { origin, size: decimal(size), root: bytes }
}

/** A checkpoint whose signature holds under one of the keys. */
export async function openCheckpoint(
  note: string, keys: Verifier[],
): Promise<Checkpoint & { key: Verifier }> {
  const opened = parseNote(note)
  const key = await signer(opened, keys)
  const checkpoint = parseCheckpoint(opened.text)
  demand(checkpoint.origin === key.name, 'origin')
  return { ...checkpoint, key }
}
