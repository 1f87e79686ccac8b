// The token of this life of the database: ends with a crash of the server or a failover.
export const readLife = `select token::text as token from inbox.life`
