/** Statements that let nobody change or delete a row of a table, nor empty it, by that table's name. */
export const appendOnly = (...tables: readonly string[]): string[] =>
  tables.flatMap((table) => [
    `CREATE TRIGGER ${table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON ${table}
       FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()`,
    `ALTER TABLE ${table} ENABLE ALWAYS TRIGGER ${table}_append_only`,
  ]);
