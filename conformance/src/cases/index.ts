import type { Case } from '../case.js'
import { coordinatorMoves } from './coordinator-moves.js'
import { epochRotation } from './epoch-rotation.js'
import { highOffsets } from './high-offsets.js'
import { lateAddPartitions } from './late-add-partitions.js'
import { lateEndTxn } from './late-endtxn.js'
import { lateProduce } from './late-produce.js'
import { leaderlessPartition } from './leaderless-partition.js'
import { leaderMoves } from './leader-moves.js'
import { lostEndTxnAnswerOnAbort, lostEndTxnAnswerOnCommit } from './lost-endtxn-answer.js'
import { lostProduceAnswerThenAbort } from './lost-produce-answer-then-abort.js'
import { lostProduceAnswerThenRetry } from './lost-produce-answer-then-retry.js'
import { oneOfSixPartitions } from './one-of-six-partitions.js'
import { oversizedRecord } from './oversized-record.js'
import {
  abortLargerThanAFetch,
  keyOfFourZeroBytes,
  lastStableOffset,
  overlappingAborts,
  twoAbortsOfOneProducer,
} from './reading.js'
import { restart } from './restart.js'
import { transactionTimeout } from './transaction-timeout.js'
import { zombieAtCommit, zombieAtProduce } from './zombie.js'
import { zombieAtOffsets } from './zombie-at-offsets.js'

/** In the order of the report. */
export const cases: readonly Case[] = [
  lostProduceAnswerThenAbort,
  lostProduceAnswerThenRetry,
  lostEndTxnAnswerOnCommit,
  lostEndTxnAnswerOnAbort,
  lateEndTxn,
  lateProduce,
  lateAddPartitions,
  zombieAtProduce,
  zombieAtOffsets,
  zombieAtCommit,
  transactionTimeout,
  coordinatorMoves,
  leaderMoves,
  leaderlessPartition,
  oneOfSixPartitions,
  oversizedRecord,
  restart,
  twoAbortsOfOneProducer,
  abortLargerThanAFetch,
  overlappingAborts,
  keyOfFourZeroBytes,
  lastStableOffset,
  highOffsets,
  epochRotation,
]
