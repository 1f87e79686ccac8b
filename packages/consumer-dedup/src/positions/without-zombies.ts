import type { SqlConnection } from '@oncebox/core'
import { decides, endZombies } from '../sql/end-zombies.js'

/**
 * Waits for a statement that begins with {@link decides}; after `patienceMs`, and again after each, ends transactions that
 * hold it up and have stood idle for so long. What a paused process holds open must not hold up, for as long as it
 * pleases, whoever has the partition now.
 */
export async function withoutZombies<Answer>(
  outside: SqlConnection,
  patienceMs: number,
  statement: Promise<Answer>,
): Promise<Answer> {
  return await whileEnding(patienceMs, statement, () => outside.query(endZombies, [decides, patienceMs]))
}

/** Waits for a statement; after `patienceMs`, and again after each, ends what holds it up. */
export async function whileEnding<Answer>(
  patienceMs: number,
  statement: Promise<Answer>,
  end: () => Promise<unknown>,
): Promise<Answer> {
  const timer = setInterval(() => void end().catch(() => undefined), patienceMs) // asked again
  try {
    return await statement
  } finally {
    clearInterval(timer)
  }
}
