/** Instants and ranges: what the language takes, and how they are shown. */

const DAY_MS = 86_400_000
const UNITS: Record<string, number> = {
  s: 1000, m: 60_000, h: 3_600_000, d: DAY_MS, w: 7 * DAY_MS,
}

/** Milliseconds of a time ago, written `-24h` or `24h`. */
export function agoMs(text: string): number | undefined {
  const match = /^-?(\d{1,9})([smhdw])$/u.exec(text)
  if (match === null) return undefined
  return Number(match[1]) * (UNITS[match[2] as string] as number)
}

/** Whether an instant depends on when it is asked. */
export function isRelative(text: string): boolean {
  return agoMs(text) !== undefined || ['now', 'today', 'yesterday'].includes(text)
}

/**
 * The instant that a text means, in milliseconds since 1970.
 *
 * Beyond the language, a field of the time control takes `yesterday 03:12`, `03:12`, a blank
 * between date and time, and times in the zone that is shown.
 */
export function meaning(text: string, now: number, zone = 'UTC'): number | undefined {
  const trimmed = text.trim()
  const ago = agoMs(trimmed)
  if (ago !== undefined) return now - ago
  if (trimmed === 'now') return now
  if (/[zZ]$|[+-]\d\d:?\d\d$/u.test(trimmed) && /\dT?\s?\d/u.test(trimmed)) {
    const exact = Date.parse(trimmed.replace(' ', 'T').replace(/(\.\d{3})\d+/u, '$1'))
    if (!Number.isNaN(exact)) return exact
  }
  const parts = dayAndTime(trimmed, now, zone)
  return parts === undefined ? undefined : fromCivil(parts, zone)
}

type Civil = [number, number, number, number, number, number, number]

function dayAndTime(text: string, now: number, zone: string): Civil | undefined {
  const match = new RegExp(
    '^(?:(\\d{4})-(\\d{2})-(\\d{2})|(today|yesterday))?' +
      '(?:(?:^|[T\\s]+)(\\d{1,2}):(\\d{2})(?::(\\d{2})(?:\\.(\\d{1,9}))?)?)?$', 'u',
  ).exec(text)
  if (match === null || text === '') return undefined
  const [, year, month, day, word, hour, minute, second, fraction] = match
  const today = civil(now, zone)
  let date: [number, number, number] = [today[0], today[1], today[2]]
  if (year !== undefined) date = [Number(year), Number(month), Number(day)]
  if (word === 'yesterday') date[2] -= 1
  const ms = fraction === undefined ? 0 : Math.floor(Number(`0.${fraction}`) * 1000)
  const time: Civil = [...date, Number(hour ?? 0), Number(minute ?? 0), Number(second ?? 0), ms]
  const isValid = date[1] >= 1 && date[1] <= 12 && date[2] <= 31 &&
    time[3] < 24 && time[4] < 60 && time[5] < 60
  return isValid ? time : undefined
}

const formats = new Map<string, Intl.DateTimeFormat>()

function civilFormat(zone: string): Intl.DateTimeFormat {
  const known = formats.get(zone)
  if (known !== undefined) return known
  const made = new Intl.DateTimeFormat('en-GB', {
    timeZone: zone, hourCycle: 'h23', year: 'numeric', month: '2-digit', day: '2-digit',
    hour: '2-digit', minute: '2-digit', second: '2-digit',
  })
  formats.set(zone, made)
  return made
}

/** Year, month, day, hour, minute, second and millisecond of an instant in a zone. */
export function civil(ms: number, zone: string): Civil {
  const fraction = ((ms % 1000) + 1000) % 1000
  if (zone === 'UTC') {
    const date = new Date(ms)
    return [
      date.getUTCFullYear(), date.getUTCMonth() + 1, date.getUTCDate(), date.getUTCHours(),
      date.getUTCMinutes(), date.getUTCSeconds(), fraction,
    ]
  }
  const of = new Map(civilFormat(zone).formatToParts(ms).map((part) => [part.type, part.value]))
  const names = ['year', 'month', 'day', 'hour', 'minute', 'second'] as const
  const [year, month, day, hour, minute, second] = names.map((name) => Number(of.get(name)))
  return [year, month, day, hour, minute, second, fraction] as Civil
}

/** The instant at which clocks of a zone show this; the earlier one if they show it twice. */
function fromCivil(parts: Civil, zone: string): number {
  const [year, month, day, ...time] = parts
  const wanted = Date.UTC(year, month - 1, day, ...time)
  if (zone === 'UTC') return wanted
  const candidates = [wanted - offsetMs(wanted - DAY_MS, zone), wanted - offsetMs(wanted + DAY_MS, zone)]
  const right = candidates.filter((ms) => ms + offsetMs(ms, zone) === wanted)
  return right.length > 0 ? Math.min(...right) : Math.max(...candidates)
}

/** How far clocks of a zone are ahead of UTC at an instant. */
export function offsetMs(ms: number, zone: string): number {
  const [year, month, day, ...time] = civil(ms, zone)
  return Date.UTC(year, month - 1, day, ...time) - ms
}

/** An instant as the language takes it: RFC 3339 in UTC, without needless fractions. */
export function instant(ms: number): string {
  return new Date(ms).toISOString().replace(/\.000Z$/u, 'Z')
}

function pad(value: number, digits = 2): string {
  return String(value).padStart(digits, '0')
}

/** `2026-11-29 03:12:00`, in a zone. */
export function show(ms: number, zone: string): string {
  const [year, month, day, hour, minute, second, fraction] = civil(ms, zone)
  const end = fraction === 0 ? '' : `.${pad(fraction, 3)}`
  return `${pad(year, 4)}-${pad(month)}-${pad(day)} ${pad(hour)}:${pad(minute)}:${pad(second)}${end}`
}

/** A short form for a range: without seconds where they are 0. */
export function showShort(ms: number, zone: string): string {
  return show(ms, zone).replace(/:00$/u, '')
}

const DIGITS: Record<string, number> = { s: 0, ms: 3, us: 6, ns: 9 }

/** The time of an event, with fractions only as far as its resolution tells. */
export function showEvent(rfc3339: string, resolution: string, zone: string): string {
  const digits = DIGITS[resolution] ?? 0
  const fraction = /\.(\d+)/u.exec(rfc3339)?.[1] ?? ''
  const whole = Date.parse(rfc3339.replace(/\.\d+/u, ''))
  const text = show(whole, zone)
  return digits === 0 ? text : `${text}.${fraction.padEnd(9, '0').slice(0, digits)}`
}

export interface Range {
  after: string
  before: string
}

export const PRESETS = ['-15m', '-1h', '-24h', '-7d', '-30d', ''] as const

/** A range in milliseconds; open ends come from what the log shows. */
export function bounds(range: Range, now: number, first: number, last: number): [number, number] {
  const after = range.after === '' ? first : (meaning(range.after, now) ?? first)
  const before = range.before === '' ? Math.max(last, now) : (meaning(range.before, now) ?? last)
  return [after, Math.max(after + 1000, before)]
}

/** The range moved by its own width: -1 is earlier, 1 later. */
export function moved(from: number, until: number, by: number): Range {
  const width = until - from
  return { after: instant(from + by * width), before: instant(until + by * width) }
}

/** The range twice as wide, around its middle. */
export function wider(from: number, until: number): Range {
  const half = Math.round((until - from) / 2)
  return { after: instant(from - half), before: instant(until + half) }
}
