/** Merkle proofs of RFC 9162, and the proof file of C2SP tlog-proof. */

import { concat, decimal, demand, equal, fromBase64, sha256 } from './bytes.ts'
import type { Bytes } from './bytes.ts'

const LEAF = Uint8Array.of(0)
const NODE = Uint8Array.of(1)
const PATH_MAX = 63

export function leafHash(data: Bytes): Promise<Bytes> {
  return sha256(concat(LEAF, data))
}

export function nodeHash(left: Bytes, right: Bytes): Promise<Bytes> {
  return sha256(concat(NODE, left, right))
}

// Indexes have more than 32 bits: they are halved, not shifted.
const half = (value: number): number => Math.floor(value / 2)
const isOdd = (value: number): boolean => value % 2 === 1

/** The root that a leaf and its path lead to (section 2.1.3.2). */
export async function rootOf(
  leaf: Bytes, index: number, size: number, path: Bytes[],
): Promise<Bytes> {
  demand(index < size, 'index')
  demand(path.length <= PATH_MAX, 'path')
  let place = index
  let last = size - 1
  let hash = leaf
  for (const sibling of path) {
    demand(last > 0, 'path')
    if (isOdd(place) || place === last) {
      hash = await nodeHash(sibling, hash)
      while (!isOdd(place) && place !== 0) {
        place = half(place)
        last = half(last)
      }
    } else {
      hash = await nodeHash(hash, sibling)
    }
    place = half(place)
    last = half(last)
  }
  demand(last === 0, 'path')
  return hash
}

/** Demands that the tree of one size extends that of a smaller one (section 2.1.4.2). */
export async function checkConsistency(
  oldSize: number, oldRoot: Bytes, newSize: number, newRoot: Bytes, path: Bytes[],
): Promise<void> {
  demand(oldSize <= newSize, 'smaller')
  if (oldSize === newSize) {
    demand(path.length === 0 && equal(oldRoot, newRoot), 'fork')
    return
  }
  if (oldSize === 0) return
  const isWhole = Number.isInteger(Math.log2(oldSize))
  const hashes = isWhole ? [oldRoot, ...path] : [...path]
  const first = hashes.shift()
  demand(first !== undefined && hashes.length <= PATH_MAX, 'consistency')
  let place = oldSize - 1
  let last = newSize - 1
  while (isOdd(place)) {
    place = half(place)
    last = half(last)
  }
  let old = first
  let grown = first
  for (const hash of hashes) {
    demand(last > 0, 'consistency')
    if (isOdd(place) || place === last) {
      old = await nodeHash(hash, old)
      grown = await nodeHash(hash, grown)
      while (!isOdd(place) && place !== 0) {
        place = half(place)
        last = half(last)
      }
    } else {
      grown = await nodeHash(grown, hash)
    }
    place = half(place)
    last = half(last)
  }
  demand(last === 0 && equal(old, oldRoot) && equal(grown, newRoot), 'consistency')
}

export interface ProofFile {
  index: number
  path: Bytes[]
  /** The entry, if the file has it. */
  extra: Bytes | undefined
  /** The note with the checkpoint. */
  note: string
}

export function parseProofFile(text: string): ProofFile {
  const cut = text.indexOf('\n\n')
  demand(cut > 0, 'proof')
  const lines = text.slice(0, cut).split('\n')
  demand(lines.shift() === 'c2sp.org/tlog-proof@v1', 'proof')
  const extra = lines[0]?.startsWith('extra ') ? fromBase64(lines.shift()?.slice(6) ?? '') : undefined
  const index = lines.shift()
  demand(index !== undefined && index.startsWith('index '), 'proof')
  const path = lines.map((line) => fromBase64(line))
  demand(path.every((hash) => hash.length === 32), 'proof')
  return { index: decimal(index.slice(6)), path, extra, note: text.slice(cut + 2) }
}
