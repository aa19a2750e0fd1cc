/** What this browser has checked of the log, for the badge and the Integrity screen. */

import { asProblem, request } from '../api/request.ts'
import { checkpoint, logStatus } from '../api/read.ts'
import type { LogStatus, WholeEvent } from '../api/types.ts'
import { forget, readMemory, writeMemory } from '../evidence/memory.ts'
import type { Failure } from '../evidence/memory.ts'
import type * as Verify from '../evidence/verify.ts'

const EVERY_MS = 15_000
const LATE_MS = 10_000
const CHECKS_MAX = 20

export interface Check {
  at: number
  what: 'growth' | 'event' | 'file' | 'export'
  detail: string
  size: number
  reason: string
}

type BadgeState = 'starting' | 'unknown' | 'signed' | 'verified' | 'late' | 'failed'

let loaded: Promise<typeof Verify> | undefined

/** The file that checks, of the same version as the page. */
export function verifier(): Promise<typeof Verify> {
  if (loaded === undefined) {
    const version = new URL(import.meta.url).search
    loaded = import(/* @vite-ignore */ `/console/verify.js${version}`) as Promise<typeof Verify>
  }
  return loaded
}

async function tile(path: string): Promise<Uint8Array<ArrayBuffer>> {
  const response = await request(`/tlog/${path}`)
  return new Uint8Array(await response.arrayBuffer())
}

class Evidence {
  status: LogStatus | undefined = $state.raw()
  state: BadgeState = $state('starting')
  size = $state(0)
  root = $state('')
  at = $state(0)
  pinned: string[] = $state([])
  failure: Failure | undefined = $state.raw()
  checks: Check[] = $state([])
  lateSince = $state(0)
  lateWitnesses: string[] = $state([])

  #timer: ReturnType<typeof setInterval> | undefined
  #isRunning = false

  start(): () => void {
    void this.check()
    this.#timer = setInterval(() => {
      if (!document.hidden) void this.check()
    }, EVERY_MS)
    return () => clearInterval(this.#timer)
  }

  get origin(): string {
    return this.status?.origin ?? ''
  }

  /** Keys that count: those that were pinned, else those that the server shows. */
  get keys(): string[] {
    return this.pinned.length > 0 ? this.pinned : (this.status?.keys ?? [])
  }

  /** Checks the newest checkpoint, and that the log only grew. */
  async check(): Promise<void> {
    if (this.#isRunning) return
    this.#isRunning = true
    try {
      await this.#check()
    } finally {
      this.#isRunning = false
    }
  }

  async #check(): Promise<void> {
    let newest: string
    try {
      this.status = await logStatus()
      newest = await checkpoint()
    } catch (error) {
      if (asProblem(error).problem.status !== 0 && this.state === 'starting') this.state = 'unknown'
      return
    }
    const memory = readMemory(this.origin)
    this.pinned = memory.pinned
    this.failure = memory.failure
    const verify = await verifier()
    const previous = this.keys.map((key) => memory.checkpoints[key]).find((note) => note !== undefined)
    try {
      const grown = await verify.checkGrowth(newest, previous, this.keys, tile)
      Object.assign(this, { size: grown.size, root: grown.root, at: Date.now() })
      this.#note({ what: 'growth', detail: '', size: grown.size, reason: '' })
      // Read again: an event may have failed, or a key been pinned, while this was checked.
      const now = { ...readMemory(this.origin), checkpoints: { [grown.key]: newest } }
      writeMemory(this.origin, now)
      this.failure = now.failure
      this.state = this.#stateNow(now.failure)
    } catch (error) {
      const reason = verify.reasonOf(error)
      if (reason === '' || reason === 'crypto') {
        this.state = memory.failure === undefined ? 'unknown' : 'failed'
        return
      }
      this.#fail(reason, previous ?? '', newest)
    }
  }

  #stateNow(failure: Failure | undefined): BadgeState {
    if (failure !== undefined) return 'failed'
    this.lateWitnesses = (this.status?.witnesses ?? [])
      .filter((one) => one.state !== 'ok' && one.state !== 'cosigned')
      .map((one) => one.name)
    const { status } = this
    const waits = status !== undefined && status.size > status.signed_size
    const signedAt = Date.parse(status?.checkpoint?.time ?? '')
    const isOld = waits && Date.now() - signedAt > LATE_MS
    this.lateSince = isOld ? signedAt : 0
    if (isOld || this.lateWitnesses.length > 0) return 'late'
    return this.pinned.length > 0 ? 'verified' : 'signed'
  }

  /** Something does not verify: it stays so until the reader begins anew. */
  #fail(reason: string, previous: string, newest: string): void {
    const failure = { reason, at: Date.now(), previous, newest }
    writeMemory(this.origin, { ...readMemory(this.origin), failure })
    this.failure = failure
    this.state = 'failed'
    this.#note({ what: 'growth', detail: '', size: 0, reason })
  }

  #note(check: Omit<Check, 'at'>): void {
    const [last] = this.checks
    const isSame = last?.what === 'growth' && check.what === 'growth' && last.size === check.size &&
      last.reason === check.reason
    const others = isSame ? this.checks.slice(1) : this.checks
    this.checks = [{ ...check, at: Date.now() }, ...others].slice(0, CHECKS_MAX)
  }

  /** Checks one event; a proof that fails is as bad as a log that shrank. */
  async checkEvent(whole: WholeEvent, proof: string): Promise<Verify.EventCheck> {
    const verify = await verifier()
    const { index } = whole.event
    try {
      const check = await verify.checkEvent({
        index, entry: whole.entry, digest: whole.digest, raw: whole.raw,
        rawEncoding: whole.raw_encoding, proof, keys: this.keys,
      })
      this.#note({ what: 'event', detail: String(index), size: check.size, reason: '' })
      return check
    } catch (error) {
      const reason = verify.reasonOf(error)
      if (reason !== '' && reason !== 'crypto') this.#fail(reason, '', proof)
      throw error
    }
  }

  noteFile(what: 'file' | 'export', detail: string, size: number, reason: string): void {
    this.#note({ what, detail, size, reason })
  }

  async pin(line: string): Promise<void> {
    const verify = await verifier()
    await verify.describeKey(line)
    const memory = readMemory(this.origin)
    writeMemory(this.origin, { ...memory, pinned: [...new Set([...memory.pinned, line.trim()])] })
    await this.check()
  }

  async unpin(line: string): Promise<void> {
    const memory = readMemory(this.origin)
    writeMemory(this.origin, { ...memory, pinned: memory.pinned.filter((one) => one !== line) })
    await this.check()
  }

  /** Forgets all of this log: its keys, its checkpoint and what did not verify. */
  async beginAnew(): Promise<void> {
    forget(this.origin)
    this.failure = undefined
    this.state = 'starting'
    await this.check()
  }
}

export const evidence = new Evidence()
