/** Bytes, hashes and their texts. */

export type Bytes = Uint8Array<ArrayBuffer>

const encoder = new TextEncoder()

export function utf8(text: string): Bytes {
  return encoder.encode(text)
}

export function concat(...parts: Bytes[]): Bytes {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}

export async function sha256(bytes: Bytes): Promise<Bytes> {
  return new Uint8Array(await crypto.subtle.digest('SHA-256', bytes))
}

export function equal(a: Bytes, b: Bytes): boolean {
  return a.length === b.length && a.every((byte, place) => byte === b[place])
}

export function hex(bytes: Bytes): string {
  return [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join('')
}

/** Strict base64: what is not written as an encoder writes it is refused. */
export function fromBase64(text: string): Bytes {
  if (!/^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$/u.test(text)) {
    throw new Refused('base64')
  }
  const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0))
  if (toBase64(bytes) !== text) throw new Refused('base64')
  return bytes
}

export function toBase64(bytes: Bytes): string {
  let text = ''
  for (const byte of bytes) text += String.fromCharCode(byte)
  return btoa(text)
}

/** A decimal number without leading zeros, as far as numbers are exact. */
export function decimal(text: string): number {
  if (!/^(0|[1-9]\d{0,15})$/u.test(text)) throw new Refused('number')
  const value = Number(text)
  if (!Number.isSafeInteger(value)) throw new Refused('number')
  return value
}

/** What is wrong with a piece of evidence, in a word that the page translates. */
export type Reason =
  | 'base64' | 'number' | 'note' | 'key' | 'noKey' | 'signature' | 'checkpoint' | 'proof' | 'path'
  | 'root' | 'entry' | 'raw' | 'digest' | 'index' | 'smaller' | 'fork' | 'consistency' | 'tile'
  | 'origin' | 'receipt' | 'body' | 'size' | 'file' | 'rows' | 'crypto'

/** Evidence that does not verify. */
export class Refused extends Error {
  readonly reason: Reason

  constructor(reason: Reason) {
    super(reason)
    this.reason = reason
  }
}

export function demand(holds: boolean, reason: Reason): asserts holds {
  if (!holds) throw new Refused(reason)
}
