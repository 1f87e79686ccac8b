/** What the suite and a driver say to each other over standard input and output: one JSON object per line. */
import type { Complaint, Driver, ReadRecord } from './driver.js'

/** The steps that a driver is asked for. */
export type Step = Exclude<keyof Driver, 'complaint'>

/** What a step is given, beside what it calls back. */
export type Argument<Name extends Step> = Parameters<Driver[Name]>[0]
export type Answer<Name extends Step> = Awaited<ReturnType<Driver[Name]>>

export interface Request {
  readonly id: number
  readonly step: Step
  readonly argument: unknown
}

export type Message =
  | { readonly id: number; readonly value: unknown }
  | { readonly id: number; readonly complaint: Complaint }
  | { readonly records: readonly ReadRecord[] }
