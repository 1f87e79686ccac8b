/** The numbered SQL files of a schema: `0001-outbox.sql`, `0002-...`, without gaps. */
import { readdir, readFile } from 'node:fs/promises'
import path from 'node:path'
import { invariant } from '@oncebox/core'

export interface MigrationFile {
  readonly number: number
  readonly name: string
  readonly file: string
}

const fileName = /^(\d{4})-([a-z0-9-]+)\.sql$/

/** The migrations in a folder, in order. */
export async function listMigrations(directory: string): Promise<readonly MigrationFile[]> {
  const files: MigrationFile[] = []
  for (const entry of (await readdir(directory)).sort()) {
    const [, digits, name] = fileName.exec(entry) ?? []
    if (digits !== undefined && name !== undefined)
      files.push({ number: Number(digits), name, file: path.join(directory, entry) })
  }
  invariant(files.length > 0, `no migrations in ${directory}`)
  files.forEach(({ number }, index) =>
    invariant(number === index + 1, `migrations in ${directory} have a gap before ${number}`),
  )
  return files
}

export const readMigration = ({ file }: MigrationFile): Promise<string> => readFile(file, 'utf8')
