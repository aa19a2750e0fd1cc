/** Proofs that one tree extends another, made from the log's tiles (C2SP tlog-tiles). */

import { demand } from './bytes.ts'
import type { Bytes } from './bytes.ts'
import { nodeHash } from './proof.ts'

const WIDTH = 256

/** Fetches the bytes under a path below `/tlog/`. */
export type Fetch = (path: string) => Promise<Bytes>

export function tilePath(level: number, position: number, width: number): string {
  let parts = String(position % 1000).padStart(3, '0')
  for (let left = Math.floor(position / 1000); left > 0; left = Math.floor(left / 1000)) {
    parts = `x${String(left % 1000).padStart(3, '0')}/${parts}`
  }
  return `tile/${level}/${parts}${width < WIDTH ? `.p/${width}` : ''}`
}

/** Nodes of the tree of one size. */
export class Tiles {
  readonly #size: number
  readonly #fetch: Fetch
  readonly #known = new Map<string, Promise<Bytes[]>>()

  constructor(size: number, fetch: Fetch) {
    this.#size = size
    this.#fetch = fetch
  }

  /** Root of the subtree of `2^height` leaves, the one with this position. */
  async #node(height: number, position: number): Promise<Bytes> {
    const level = Math.floor(height / 8)
    const count = 2 ** (height - 8 * level)
    const first = position * count
    const hashes = await this.#tile(level, Math.floor(first / WIDTH))
    let row = hashes.slice(first % WIDTH, (first % WIDTH) + count)
    demand(row.length === count, 'tile')
    while (row.length > 1) {
      const pairs = row.filter((_, place) => place % 2 === 0)
      row = await Promise.all(
        pairs.map((left, place) => nodeHash(left, row[2 * place + 1] as Bytes)),
      )
    }
    return row[0] as Bytes
  }

  #tile(level: number, position: number): Promise<Bytes[]> {
    const onLevel = Math.floor(this.#size / WIDTH ** level)
    const width = Math.min(WIDTH, onLevel - position * WIDTH)
    const path = tilePath(level, position, width)
    const known = this.#known.get(path)
    if (known !== undefined) return known
    const fetched = this.#fetch(path).then((bytes) => {
      demand(bytes.length === 32 * width, 'tile')
      return Array.from({ length: width }, (_, place) => bytes.slice(32 * place, 32 * place + 32))
    })
    this.#known.set(path, fetched)
    return fetched
  }

  /** Root over the leaves from `from` up to `until`. */
  async root(from: number, until: number): Promise<Bytes> {
    const count = until - from
    const height = Math.log2(count)
    if (Number.isInteger(height) && from % count === 0) return this.#node(height, from / count)
    const split = powerBelow(count)
    const [left, right] = await Promise.all([
      this.root(from, from + split), this.root(from + split, until),
    ])
    return nodeHash(left, right)
  }

  /** The consistency path from a smaller tree (RFC 9162, section 2.1.4.1). */
  path(oldSize: number): Promise<Bytes[]> {
    if (oldSize === 0 || oldSize === this.#size) return Promise.resolve([])
    return this.#subpath(oldSize, 0, this.#size, true)
  }

  async #subpath(old: number, from: number, until: number, isWhole: boolean): Promise<Bytes[]> {
    const count = until - from
    if (old === count) return isWhole ? [] : [await this.root(from, until)]
    const split = powerBelow(count)
    if (old <= split) {
      const rest = await this.#subpath(old, from, from + split, isWhole)
      return [...rest, await this.root(from + split, until)]
    }
    const rest = await this.#subpath(old - split, from + split, until, false)
    return [...rest, await this.root(from, from + split)]
  }
}

/** The largest power of two below a number that is at least 2. */
function powerBelow(count: number): number {
  let power = 1
  while (power * 2 < count) power *= 2
  return power
}
