/**
 * Formulas as they are shown to people, and computed from the very same text: names, numbers, `+ - * /`, parentheses,
 * `max(a, b)` and `ceil(a)`. Every step is checked for its units.
 */
import { add, divide, larger, multiply, type Quantity } from './quantity.ts';

/** Throws UnitError when units do not fit, and SyntaxError when the text is no formula. */
export function evaluate(formula: string, find: (name: string) => Quantity): Quantity {
  const parser = new Parser(formula, find);
  const result = parser.sum();
  parser.end();
  return result;
}

/** The names that a formula uses, in order, each once. */
export function namesIn(formula: string): readonly string[] {
  return [...new Set(formula.match(/[A-Za-z]\w*/g) ?? [])].filter((name) => name !== 'max' && name !== 'ceil');
}

class Parser {
  readonly #tokens: readonly string[];
  readonly #find: (name: string) => Quantity;
  #at = 0;

  constructor(formula: string, find: (name: string) => Quantity) {
    this.#tokens = formula.match(/[A-Za-z]\w*|\d+(?:\.\d+)?|\S/g) ?? [];
    this.#find = find;
  }

  sum(): Quantity {
    let left = this.#product();
    for (;;) {
      if (this.#take('+')) left = add(left, this.#product());
      else if (this.#take('-')) left = add(left, this.#product(), -1);
      else return left;
    }
  }

  end(): void {
    if (this.#at < this.#tokens.length) throw this.#unexpected();
  }

  #product(): Quantity {
    let left = this.#atom();
    for (;;) {
      if (this.#take('*')) left = multiply(left, this.#atom());
      else if (this.#take('/')) left = divide(left, this.#atom());
      else return left;
    }
  }

  #atom(): Quantity {
    if (this.#take('(')) return this.#closed(this.sum());
    const token = this.#tokens[this.#at] ?? '';
    if (/^\d/.test(token)) {
      this.#at++;
      return { value: Number(token), dimension: {} };
    }
    if (!/^[A-Za-z]/.test(token)) throw this.#unexpected();
    this.#at++;
    if (token === 'ceil' && this.#take('(')) {
      const { value, dimension } = this.#closed(this.sum());
      // A sum of floating-point numbers that should be whole must not cost another edge.
      return { value: Math.ceil(value * (1 - 1e-12)), dimension };
    }
    if (token === 'max' && this.#take('(')) {
      const first = this.sum();
      if (!this.#take(',')) throw this.#unexpected();
      return this.#closed(larger(first, this.sum()));
    }
    return this.#find(token);
  }

  #closed(value: Quantity): Quantity {
    if (!this.#take(')')) throw this.#unexpected();
    return value;
  }

  #take(token: string): boolean {
    if (this.#tokens[this.#at] !== token) return false;
    this.#at++;
    return true;
  }

  #unexpected(): SyntaxError {
    return new SyntaxError(`a formula cannot have "${this.#tokens[this.#at] ?? 'its end'}" here`);
  }
}
