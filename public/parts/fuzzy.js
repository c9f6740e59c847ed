// Finds items by what somebody types: by the beginning of a word, a part of it, or letters in order.

const WORD_BEGINS = /[^\p{L}\p{N}]/u;
const MIN_LETTERS = 3; // fewer letters in order are in nearly every text

/** How well `word` fits `text`, both in lower case: 0 is not at all, 100 its beginning. */
function fit(word, text) {
  const at = text.indexOf(word);
  if (at === 0) return 100;
  if (at > 0) return beginsWord(text, at) ? 80 : 60;
  return word.length < MIN_LETTERS ? 0 : fitOfLetters(word, text);
}

const beginsWord = (text, at) => at === 0 || WORD_BEGINS.test(text[at - 1]);

/** 40 for letters that all begin words ("rtt" in "routing tests tab"), less for others. */
function fitOfLetters(letters, text) {
  let at = -1;
  let score = 40;
  for (const letter of letters) {
    const next = text.indexOf(letter, at + 1);
    if (next < 0 || (at < 0 && !beginsWord(text, next))) return 0;
    if (next !== at + 1 && !beginsWord(text, next)) score -= 8;
    at = next;
  }
  return Math.max(score, 0);
}

/**
 * The items that fit all words of `typed`, the best first. An item has a `title`, and `words` by which
 * it is found too; `bonus(item)` is added to its fit.
 */
export function bestOf(items, typed, bonus = () => 0) {
  const words = typed.toLowerCase().split(/\s+/).filter(Boolean);
  const scored = [];
  for (const item of items) {
    const title = item.title.toLowerCase();
    const others = (item.words ?? "").toLowerCase();
    let score = 0;
    for (const word of words) {
      const best = Math.max(fit(word, title), others.includes(word) ? 50 : 0);
      if (best === 0) {
        score = 0;
        break;
      }
      score += best / words.length;
    }
    if (score > 0) scored.push({ item, score: score + bonus(item) });
  }
  return scored
    .sort((a, b) => b.score - a.score || a.item.title.length - b.item.title.length)
    .map(({ item }) => item);
}
