/**
 * What the page checks itself. This file is a build of its own, loaded when it is needed.
 *
 * It knows no DOM and asks for nothing: callers hand it texts, bytes and a way to fetch tiles.
 */

import { demand, equal, fromBase64, hex, Refused, sha256, utf8 } from './bytes.ts'
import type { Bytes } from './bytes.ts'
import { openCheckpoint, parseVerifier } from './note.ts'
import type { Verifier } from './note.ts'
import { checkConsistency, leafHash, parseProofFile, rootOf } from './proof.ts'
import { checkManifest, checkReceipt } from './receipt.ts'
import type { Manifest } from './receipt.ts'
import { Tiles } from './tiles.ts'
import type { Fetch } from './tiles.ts'

export interface EventEvidence {
  index: number
  entry: string
  digest: string
  raw: string
  rawEncoding: string
  /** The proof file of the event. */
  proof: string
  keys: string[]
}

export interface EventCheck {
  size: number
  root: string
  key: string
  /** The fields of the entry that was checked: what the screen shows is read from it. */
  fields: unknown
}

async function verifiers(keys: string[]): Promise<Verifier[]> {
  return Promise.all(keys.map((key) => parseVerifier(key)))
}

/** Checks raw bytes, entry, place in the tree and signature of one event. */
export async function checkEvent(evidence: EventEvidence): Promise<EventCheck> {
  const entry = utf8(evidence.entry)
  const digest = await sha256(entry)
  demand(hex(digest) === evidence.digest, 'digest')
  const fields: unknown = JSON.parse(evidence.entry)
  const rawHash = (fields as { raw_sha256?: unknown }).raw_sha256
  const raw = evidence.rawEncoding === 'utf-8' ? utf8(evidence.raw) : fromBase64(evidence.raw)
  demand(rawHash === hex(await sha256(raw)), 'raw')
  const proof = parseProofFile(evidence.proof)
  demand(proof.index === evidence.index, 'index')
  demand(proof.extra === undefined || equal(proof.extra, entry), 'entry')
  const checkpoint = await openCheckpoint(proof.note, await verifiers(evidence.keys))
  const root = await rootOf(await leafHash(digest), proof.index, checkpoint.size, proof.path)
  demand(equal(root, checkpoint.root), 'root')
  return { size: checkpoint.size, root: hex(root), key: checkpoint.key.text, fields }
}

/** Checks a proof file alone; without the entry in it, it proves nothing. */
export async function checkProofFile(text: string, keys: string[]): Promise<EventCheck> {
  const proof = parseProofFile(text)
  const { extra } = proof
  if (extra === undefined) throw new Refused('entry')
  const checkpoint = await openCheckpoint(proof.note, await verifiers(keys))
  const leaf = await leafHash(await sha256(extra))
  const root = await rootOf(leaf, proof.index, checkpoint.size, proof.path)
  demand(equal(root, checkpoint.root), 'root')
  const fields: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(extra))
  return { size: checkpoint.size, root: hex(root), key: checkpoint.key.text, fields }
}

export interface GrowthCheck {
  size: number
  root: string
  key: string
  /** Size of the checkpoint that this browser had before. */
  from: number | undefined
}

/** Checks the newest checkpoint, and that it extends the one that this browser had. */
export async function checkGrowth(
  newest: string, previous: string | undefined, keys: string[], fetchTile: Fetch,
): Promise<GrowthCheck> {
  const known = await verifiers(keys)
  const now = await openCheckpoint(newest, known)
  const result = { size: now.size, root: hex(now.root), key: now.key.text }
  if (previous === undefined) return { ...result, from: undefined }
  const before = await openCheckpoint(previous, known)
  demand(before.origin === now.origin, 'origin')
  demand(now.size >= before.size, 'smaller')
  const path = await new Tiles(now.size, fetchTile).path(before.size)
  await checkConsistency(before.size, before.root, now.size, now.root, path)
  return { ...result, from: before.size }
}

export async function checkExport(
  manifest: Manifest, file: Bytes | undefined, keys: string[],
): Promise<void> {
  await checkManifest(manifest, file, await verifiers(keys))
}

export async function checkAnswer(
  note: string, body: Bytes, keys: string[],
): Promise<{ rows: number; total: number; size: number }> {
  return checkReceipt(note, body, await verifiers(keys))
}

/** The origin, the key's id and whether the text is a key at all. */
export async function describeKey(line: string): Promise<{ name: string; id: string }> {
  const key = await parseVerifier(line)
  return { name: key.name, id: hex(key.id) }
}

export function reasonOf(error: unknown): string {
  return error instanceof Refused ? error.reason : ''
}
