import type { SqlConnection } from '@oncebox/core'
import type { Subject } from '../modes/partition-effects.js'
import type { ParkingLot } from './parking-lot.js'

/**
 * Asks the database whether keys are parked, wherever one may be. A consumer without parking asks once, not for each
 * event: what it finds parked was parked by a process of it that does park, and that has the partition no more. It asks
 * again after a duplicate, which may be an event that such a process has parked when it had lost the partition already.
 */
export class ParkedKeys {
  readonly #lot: ParkingLot
  #maySome: boolean | undefined

  constructor(lot: ParkingLot) {
    this.#lot = lot
  }

  /** Whether the key of one of the events is parked. After the marks, in the transaction of the effects. */
  have(connection: SqlConnection, subjects: readonly Subject[]): boolean | Promise<boolean> {
    return this.#maySome !== false && this.#find(connection, subjects)
  }

  async #find(connection: SqlConnection, subjects: readonly Subject[]): Promise<boolean> {
    if (!this.#lot.isOpen) this.#maySome ??= await this.#lot.hasKeys(connection)
    if (this.#maySome === false) return false
    return await this.#lot.isKeyParked(
      connection,
      subjects.map(({ record }) => record),
    )
  }

  /** Somebody else was here. */
  suspect(): void {
    if (this.#maySome === false) this.#maySome = undefined
  }
}
