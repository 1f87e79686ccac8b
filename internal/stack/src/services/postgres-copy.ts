/** A copy of the files of a running PostgreSQL server, from which a standby can start: what pg_basebackup makes. */
import { chmod, copyFile, lstat, mkdir, readdir, readlink, symlink, writeFile } from 'node:fs/promises'
import path from 'node:path'
import pg from 'pg'

// Contents that a backup leaves out. The standby gets WAL from its primary, whose slot keeps it.
const leftOut = new Set([
  'pg_wal',
  'pg_replslot',
  'pg_dynshmem',
  'pg_notify',
  'pg_serial',
  'pg_snapshots',
  'pg_stat_tmp',
  'pg_subtrans',
])

/**
 * Copies the data folder of the server at `url` while it is in use, between pg_backup_start and pg_backup_stop.
 * Unlogged tables are copied too, and emptied when the copy starts, as on any standby.
 */
export const copyRunningServer = async (url: string, from: string, to: string): Promise<void> => {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    await client.query("select pg_backup_start('standby', true)")
    await copyFolder(from, to, '')
    const { rows } = await client.query<{ labelfile: string }>('select labelfile from pg_backup_stop(false)')
    await writeFile(path.join(to, 'backup_label'), rows[0]?.labelfile ?? '')
  } finally {
    await client.end()
  }
}

async function copyFolder(from: string, to: string, below: string): Promise<void> {
  await mkdir(to, { recursive: true })
  await chmod(to, 0o700)
  for (const name of await readdir(from)) {
    const [source, target] = [path.join(from, name), path.join(to, name)]
    const isTop = below === ''
    if (isTop && /^postmaster\.(pid|opts)$/.test(name)) continue
    try {
      const found = await lstat(source)
      if (found.isSymbolicLink()) await symlink(await readlink(source), target)
      else if (!found.isDirectory()) await copyFile(source, target)
      else if (isTop && leftOut.has(name)) await emptyFolder(source, target)
      else await copyFolder(source, target, path.join(below, name))
    } catch (error) {
      // Removed meanwhile: recovery removes it from the copy, or never knew it.
      if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error // every error of node:fs has a code
    }
  }
}

/** The folder and its folders (pg_wal/archive_status), without their files. */
async function emptyFolder(from: string, to: string): Promise<void> {
  await mkdir(to, { recursive: true })
  await chmod(to, 0o700)
  for (const entry of await readdir(from, { withFileTypes: true }))
    if (entry.isDirectory() && path.basename(from) === 'pg_wal')
      await emptyFolder(path.join(from, entry.name), path.join(to, entry.name))
}
