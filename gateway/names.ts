/** What people may call rooms and themselves. */

const maxNameLength = 64;

/**
 * 1 to 64 characters, none of them a control or format character (but for the joiners that scripts and emoji
 * need), no blank at either end.
 */
export function isName(text: string): boolean {
  if (text.length === 0 || text.length > maxNameLength || text !== text.trim()) return false;
  return !/[\p{Cc}\p{Cs}\p{Zl}\p{Zp}]|(?![\u200c\u200d])\p{Cf}/u.test(text);
}

/** As {@link isName}; `*` is kept for tokens that cover every room. */
export function isRoomName(text: string): boolean {
  return text !== '*' && isName(text);
}
