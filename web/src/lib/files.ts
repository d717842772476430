/** Hands a text to the browser as a file to save. */
export function save(name: string, type: string, text: string) {
  const url = URL.createObjectURL(new Blob([text], { type: `${type};charset=utf-8` }));
  const link = document.createElement('a');
  link.href = url;
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(url), 1000);
}

/** Programs that calculate take such a cell for a formula; a telephone number is none. */
const isFormula = (text: string) => /^[=+\-@\t\r]/.test(text) && !/^\+?\d+$/.test(text);

export function csv(rows: string[][]): string {
  const safe = (text: string) => (isFormula(text) ? `'${text}` : text);
  const cell = (text: string) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
  return rows.map((row) => `${row.map((text) => cell(safe(text))).join(',')}\r\n`).join('');
}
