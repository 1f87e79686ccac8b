/** From an event to a BullMQ job, once; and from the job to its effect, once. */
export { handOver, type HandOverJob, type HandOverOptions, type JobQueue } from './hand-over.js'
export { eventOfJob, jobIdOf } from './job-id.js'
export { onceProcessor, type JobContext, type JobDedup, type OnceProcessorOptions } from './once-processor.js'
