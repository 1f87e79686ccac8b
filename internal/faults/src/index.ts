export { readFaultPlan, type Fault, type FaultAction } from './fault-plan.js'

/** The module to load before the program under test: `node --import <agentUrl> program.js`, with ONCEBOX_FAULT set. */
export const agentUrl: string = new URL('./agent.js', import.meta.url).href
