// A parked event is about to be run alone, in process $3. A lease that runs out from now on is a kill.
export const startParkedAlone = `
  update inbox.parked set alone_in = $3::uuid where number = $1::bigint and holder = $2::uuid`
