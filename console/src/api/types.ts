/** Shapes of the server's answers, as docs/api/ has them. */

export interface Actor {
  type?: string
  name?: string
  id?: string
}

export interface Resource {
  type?: string
  name?: string
  id?: string
  region?: string
}

export interface LogEvent {
  index: number
  id: string
  trail: string
  number: number
  occurred_at: string
  resolution: string
  received_at: string
  operation: string
  action?: string
  class?: string
  severity?: number
  outcome: { result: string; code?: number | string; reason?: string }
  actor?: Actor
  resource?: Resource
  source_ip?: { address: string; trust?: string }
  user_agent?: string
  description?: string
  request_id?: string
  trace_id?: string
  source?: { name: string; format: string }
  attributes?: Record<string, string>
}

export interface Page {
  as_of: number
  total: number
  events: LogEvent[]
  next?: string | null
}

export interface Bucket {
  start: string
  success: number
  failure: number
  unknown: number
}

export interface HistogramPart {
  as_of: number
  after: string
  before: string
  width_seconds: number
  buckets: Bucket[]
}

export interface FacetValue {
  value: string
  count: number
}

export interface FacetPart {
  facet: string
  values: FacetValue[]
  others: number
  without: number
}

export interface Gap {
  source: string
  trail: string
  kind: string
  from: string | null
  until: string | null
  count: number | null
  event: number
}

export interface Problem {
  status: number
  title: string
  detail?: string
  code?: string
  request_id?: string
  parameter?: string
  column?: number
}

export interface Grant {
  role: string
  trails: string
}

export interface Session {
  user: string
  domain: string
  expires: string
  grants: Grant[]
  origin: string
  version: string
  own_trail: string
}

export interface ValueCount {
  field: string
  value: string
  count: number
}

export interface WholeEvent {
  event: LogEvent
  entry: string
  digest: string
  raw: string
  raw_encoding: string
  proof: string
  tree_size: number
  related: {
    actor?: { search: string; total: number }
    resource?: { search: string; total: number }
    request?: { events: LogEvent[]; is_complete: boolean }
  }
}

export interface Trail {
  trail: string
  events: number
  first_at: string | null
  last_at: string | null
}

export interface Source {
  name: string
  format: string
  trail: string
  transports: string[]
  counts: Record<string, number>
  streams: number
  behind_bytes: number
  last_received_at: string | null
  last_event_at: string | null
  lag_s: number | null
  lag_max_s: number | null
  silent_after_s: number | null
  silent_since: string | null
}

export interface Sources {
  since: string
  now: string
  sources: Source[]
}

export interface DeadLetter {
  number: number
  received_at: string
  source: string
  reason: string
  is_retried: boolean
  len_bytes: number
  beginning?: string
  raw?: string
  raw_hex?: string
}

export interface RetryResult {
  number: number
  recorded: number
  duplicates: number
  reason?: string
}

export interface LogStatus {
  origin: string
  version: string
  started: string
  size: number
  signed_size: number
  checkpoint: { size: number; root: string; time: string } | null
  keys: string[]
  witnesses: { name: string; state: string; time: string | null }[]
}

export interface Reader {
  user: string
  time: string
  ip?: string
  action: string
  event: number
}

export interface ExportManifest {
  origin: string
  question: string
  format: string
  tree_size: number
  root: string
  caller: string
  trails: string[]
  rows: number
  bytes: number
  sha256: string
  digests: string
  receipt: string
}
