export const hasParkedKeys = `
  select exists (select from inbox.parked_keys where consumer = $1::text) as found`
