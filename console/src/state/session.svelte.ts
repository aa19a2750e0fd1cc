/** The session of this page, and what other tabs are told of it. */

import * as api from '../api/session.ts'
import { ApiError, asProblem, whenSignedOut } from '../api/request.ts'
import type { Session } from '../api/types.ts'

interface SessionState {
  /** `lost` is a session that ended while a screen was open: its data stays in sight. */
  state: 'starting' | 'out' | 'in' | 'lost' | 'failed'
  session: Session | undefined
  failure: ApiError | undefined
}

export const session: SessionState = $state({
  state: 'starting', session: undefined, failure: undefined,
})

const channel = new BroadcastChannel('daybook-session')

export async function startSession(): Promise<void> {
  whenSignedOut(() => {
    if (session.state === 'in') session.state = 'lost'
  })
  channel.onmessage = (message) => {
    if (message.data === 'out') forget()
    if (message.data === 'in' && session.state !== 'in') void loadSession()
  }
  const code = /^#code=([A-Za-z0-9_-]+)$/u.exec(location.hash)?.[1]
  if (code === undefined) return loadSession()
  history.replaceState(null, '', location.pathname + location.search)
  try {
    signedIn(await api.signInByCode(code))
  } catch (error) {
    session.failure = asProblem(error)
    await loadSession()
  }
}

export async function loadSession(): Promise<void> {
  try {
    signedIn(await api.current(), false)
  } catch (error) {
    const failure = asProblem(error)
    if (failure.problem.status === 401) {
      session.state = 'out'
    } else {
      session.state = 'failed'
      session.failure = failure
    }
  }
}

export async function signIn(user: string, password: string, domain: string): Promise<void> {
  signedIn(await api.signIn(user, password, domain))
}

function signedIn(found: Session, isNew = true): void {
  const isOther = session.session !== undefined && session.session.user !== found.user
  if (isOther) location.reload()
  Object.assign(session, { state: 'in', session: found, failure: undefined })
  if (isNew) channel.postMessage('in')
}

export async function signOut(): Promise<void> {
  await api.signOut().catch(() => undefined)
  channel.postMessage('out')
  forget()
}

/** Leaves nothing of the session in memory: the page starts anew. */
function forget(): void {
  location.replace('/console/')
}
