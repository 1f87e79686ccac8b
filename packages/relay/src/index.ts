export { createRelay, type Relay } from './relay.js'
export { defineRelay, type RelayLogger, type RelayOptions } from './options.js'
export { decodePosition, type Position, type WindowName } from './position.js'
export type { Snapshot } from './reading/snapshot.js'
export {
  DeadLetterDesk,
  deadLetterStates,
  type DeadLetter,
  type DeadLetterCopy,
  type DeadLetterReference,
  type DeadLetterState,
  type ListDeadLetters,
  type RequestedDeadLetters,
} from './dead-letters/dead-letter-desk.js'
export { ReplayDesk, type ReplayPlan, type ReplayState } from './replaying/replay-desk.js'
export type { ReplaySelection } from './replaying/replay-selection.js'
export { removeRelay, type RelayRemoval, type RemoveRelayOptions } from './removing/remove-relay.js'
export { reshard, type ReshardOptions, type ReshardReport, type ReshardTarget } from './resharding/reshard.js'
export { backlogEventsMax, type Backlog } from './inspecting/backlog.js'
export type { Holder } from './inspecting/holders.js'
export { readLag, type OutboxLag, type ShardLag } from './inspecting/lag.js'
export { readStatus, type MemberOfRelay, type OutboxStatus, type ShardOfOutbox } from './inspecting/status.js'
export { tailEvents, type TailedEvent, type TailOptions } from './inspecting/tail.js'
export type { UnreadyReason } from './observing/readiness.js'
export type { ShardState, ShardStatus, ShardTrouble } from './running/shard-status.js'
export { examine } from './examining/examine.js'
export type { Finding, FindingLevel } from './examining/finding.js'
export { adopt, type AdoptionReport, type AdoptOptions } from './adopting/adopt.js'
export type { EndedTransaction, TornDecision } from './adopting/torn.js'
export type { ToldEvent, TopicFindings } from './comparing/findings.js'
export type { OutOfOrderKeys } from './comparing/out-of-order-keys.js'
export { verify, type VerifyOptions, type VerifyReport } from './verifying/verify.js'
export type { ReorderedPair } from './comparing/comparison.js'
export type { DoubledEvent } from './comparing/match-events.js'
