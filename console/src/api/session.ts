/** Who is signed in. */

import { json, request } from './request.ts'
import type { Session } from './types.ts'

const PATH = '/api/v1/session'

export function current(): Promise<Session> {
  return json<Session>(PATH)
}

export function signIn(user: string, password: string, domain: string): Promise<Session> {
  const body = domain === '' ? { user, password } : { domain, user, password }
  return json<Session>(PATH, { method: 'POST', body })
}

export function signInByCode(code: string): Promise<Session> {
  return json<Session>(PATH, { method: 'POST', body: { code } })
}

export async function signOut(): Promise<void> {
  await request(PATH, { method: 'DELETE' })
}
