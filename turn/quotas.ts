/** What one user and one address may hold and spend at the same time. */
import { addressPrefix } from './address-prefix.ts';
import type { TurnLimits } from './config.ts';

export interface AccountLimits {
  readonly allocations: number;
  readonly permissions: number;
  readonly channels: number;
  readonly bytesPerSecond: number;
}

export class Account {
  readonly key: string;
  readonly limits: AccountLimits;
  allocations = 0;
  permissions = 0;
  channels = 0;
  #budget: number;
  #filledAt: number;

  constructor(key: string, limits: AccountLimits, nowMs: number) {
    this.key = key;
    this.limits = limits;
    this.#budget = limits.bytesPerSecond;
    this.#filledAt = nowMs;
  }

  /** Spends bytes without looking at a clock; false when they are used up: {@link refill}, then try again. */
  spend(bytes: number): boolean {
    if (this.#budget < bytes) return false;
    this.#budget -= bytes;
    return true;
  }

  /** Gives back what {@link spend} took. */
  giveBack(bytes: number): void {
    this.#budget += bytes;
  }

  refill(nowMs: number): void {
    const { bytesPerSecond } = this.limits;
    this.#budget = Math.min(bytesPerSecond, this.#budget + ((nowMs - this.#filledAt) * bytesPerSecond) / 1000);
    this.#filledAt = nowMs;
  }
}

/** The accounts of users and addresses that hold something. */
export class Quotas {
  readonly #users = new Map<string, Account>();
  readonly #addresses = new Map<string, Account>();
  readonly #userLimits: AccountLimits;
  readonly #addressLimits: AccountLimits;

  constructor(limits: TurnLimits) {
    this.#userLimits = {
      allocations: limits.allocationsPerUser,
      permissions: limits.permissionsPerUser,
      channels: limits.channelsPerUser,
      bytesPerSecond: limits.bytesPerSecondPerUser,
    };
    this.#addressLimits = {
      allocations: limits.allocationsPerAddress,
      permissions: limits.permissionsPerAddress,
      channels: limits.channelsPerAddress,
      bytesPerSecond: limits.bytesPerSecondPerAddress,
    };
  }

  /** How many users and addresses hold something. */
  get size(): number {
    return this.#users.size + this.#addresses.size;
  }

  /** Counts one more allocation, or returns null when either has as many as it may. */
  open(sessionId: string, address: string, nowMs: number): { user: Account; address: Account } | null {
    const prefix = addressPrefix(address, 32, 56);
    const user = this.#users.get(sessionId) ?? new Account(sessionId, this.#userLimits, nowMs);
    const from = this.#addresses.get(prefix) ?? new Account(prefix, this.#addressLimits, nowMs);
    if (user.allocations >= user.limits.allocations || from.allocations >= from.limits.allocations) return null;
    user.allocations++;
    from.allocations++;
    this.#users.set(sessionId, user);
    this.#addresses.set(prefix, from);
    return { user, address: from };
  }

  close(user: Account, address: Account): void {
    if (--user.allocations === 0) this.#users.delete(user.key);
    if (--address.allocations === 0) this.#addresses.delete(address.key);
  }
}
