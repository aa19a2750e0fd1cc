/** Checks of files that the reader drops: proofs, checkpoints, exports with their manifest. */

import type { Manifest } from '../evidence/receipt.ts'
import type { Words } from '../words/en.ts'
import { evidence, verifier } from './evidence.svelte.ts'

export interface FileCheck {
  name: string
  kind: 'proof' | 'checkpoint' | 'manifest' | 'export' | 'unknown'
  reason: string
  size: number
}

const TEXT_MAX = 4 * 1024 * 1024

export async function droppedFiles(files: File[]): Promise<FileCheck[]> {
  const manifests = new Map<File, Manifest>()
  for (const file of files) {
    const manifest = await readManifest(file)
    if (manifest !== undefined) manifests.set(file, manifest)
  }
  const [first] = manifests.values()
  const results: FileCheck[] = []
  for (const file of files) {
    const manifest = manifests.get(file)
    if (manifest !== undefined) results.push(await checkExport(file.name, 'manifest', manifest))
    else if (first !== undefined) results.push(await checkExport(file.name, 'export', first, file))
    else results.push(await checkText(file))
  }
  for (const one of results) {
    evidence.noteFile(one.kind === 'export' ? 'export' : 'file', one.name, one.size, one.reason)
  }
  return results
}

async function readManifest(file: File): Promise<Manifest | undefined> {
  if (file.size > TEXT_MAX) return undefined
  try {
    const value = JSON.parse(await file.text()) as Partial<Manifest>
    return typeof value.receipt === 'string' ? (value as Manifest) : undefined
  } catch {
    return undefined
  }
}

async function checkExport(
  name: string, kind: 'manifest' | 'export', manifest: Manifest, file?: File,
): Promise<FileCheck> {
  const bytes = file === undefined ? undefined : new Uint8Array(await file.arrayBuffer())
  return attempt(name, kind, async () => {
    await (await verifier()).checkExport(manifest, bytes, evidence.keys)
    return manifest.tree_size
  })
}

async function checkText(file: File): Promise<FileCheck> {
  const text = file.size > TEXT_MAX ? '' : await file.text()
  const verify = await verifier()
  if (text.startsWith('c2sp.org/tlog-proof')) {
    return attempt(file.name, 'proof', async () => {
      return (await verify.checkProofFile(text, evidence.keys)).size
    })
  }
  return attempt(file.name, 'checkpoint', async () => {
    return (await verify.checkGrowth(text, undefined, evidence.keys, notFetched)).size
  })
}

function notFetched(): never {
  throw new Error('a single checkpoint needs no tiles')
}

async function attempt(
  name: string, kind: FileCheck['kind'], check: () => Promise<number>,
): Promise<FileCheck> {
  try {
    return { name, kind, reason: '', size: await check() }
  } catch (error) {
    const reason = (await verifier()).reasonOf(error) || 'file'
    return { name, kind, reason, size: 0 }
  }
}

export function describe(check: FileCheck, words: Words): string {
  if (check.reason !== '') return words.integrity.reason(check.reason)
  return words.integrity.fileHolds(check.kind, check.size)
}
