/** What fastws.js is made of. Nothing of it is exported. */

import type { CallOptions, Live, LiveError, Room, Status, connect } from "./fastws.js";

/** A frame, or an answer: `ok`, `item` or `error`; without any of them, the connection was lost. */
type Message = any;
type Timer = ReturnType<typeof setTimeout>;

export type Connect = typeof connect;

/** Of an error on the wire; `retry_after` is in seconds. */
export interface Details {
  fields?: Record<string, string[]>;
  retry?: boolean;
  retry_after?: number;
}

export interface Emitter {
  /** An "error" for which nobody listens is reported, with the name of the room. */
  on(event: string, fn: Function): () => void;
  /** What a listener throws is reported. */
  emit(event: string, ...args: any[]): void;
}

/** A call or stream: it waits in its subscription, is pending in the connection, or has ended. */
export interface Call {
  promise: Promise<any>;
  queue: boolean | undefined;
  send(): void;
  /** End with `unknown` if it was sent, else with the error. */
  fail(error?: LiveError): void;
  /** Cancel it on the server, too. */
  stop(code: string): void;
  end(error: LiveError | undefined, ok?: unknown): void;
}

/** One of the rooms that share a subscription. */
export interface Member extends Emitter {
  /** Whether it has had its state, so that events may come. */
  ready: boolean;
}

/** What the rooms of one name share. */
export interface Subscription {
  connection: Connection;
  name: string;
  /** The position; at first, that of the page. */
  at?: string | undefined;
  rooms: Set<Member>;
  /** Calls that are not sent yet, or again. */
  waiting: Set<Call>;
  /** Who is present: a snapshot with its version, kept up to date by numbered diffs. */
  people: Record<string, unknown>;
  version?: any;
  /** The newest value of each key. */
  latest: Map<string, unknown>;
  /** Joins without an answer. */
  joining: number;
  /** On this connection: calls can be sent. */
  joined: boolean;
  /** Joined once, maybe on a former connection. */
  known: boolean;
  /** Frames follow the position without a gap. Else they are of a former join, or behind a gap, and are ignored. */
  live: boolean;
  /** The next join is without a position and a version, for the state and all who are present. */
  fresh: boolean;
  /** Of joins that were refused for now. */
  attempt: number;
  timer?: Timer;
  /** One more room. A join is shared until it is answered, if its position is the same; else all start from a state. */
  add(since?: string): Room;
  take(call: Call): void;
  join(): void;
  /** A join is answered; since: the position that it was sent with. What was sent without one starts from the state. */
  answered(answer: Message, since?: string): void;
  /** Join for the state, unless that is under way. */
  restart(): void;
  emit(event: string, ...args: any[]): void;
  receive(message: Message): void;
  /** Whether it is the next position. A known one is ignored, any other is a gap. */
  advance(at: any): boolean;
  /** Start from a state, or from nothing in a room without one. What is no position is none. */
  reset(message: Message): void;
  update(message: Message): void;
  /** The connection is lost. */
  lose(): void;
  /** End all calls that wait. */
  fail(error: LiveError): void;
  /** Leave the room, if the server has us in it, and tell the rooms. */
  end(error: LiveError, event?: string, detail?: unknown): void;
}

export interface Connection extends Emitter {
  client: string;
  /** In the ids of calls that are done once: whoever knows the id of one gets its answer. */
  secret: string;
  status: Status;
  /** What takes the answers, by id. The Map is another one for each attempt to connect, by which one knows it is over. */
  pending: Map<unknown, ((message: Message) => void) | undefined>;
  subscriptions: Map<string, Subscription>;
  answers: Map<string, Function>;
  socket?: WebSocket | undefined;
  token?: string | undefined;
  /** The token was refused and asked for again, and has not proved good yet. */
  refreshed: boolean;
  /** The last id. */
  ids: number;
  attempt: number;
  timer?: Timer;
  watcher?: Timer;
  /** When it was opened; Infinity while it is not open. */
  opened: number;
  /** When the last frame came. */
  seen: number;
  /** Without a frame for so long, it is dead. */
  silence: number;
  set(status: Status): void;
  open(): void;
  hello(): void;
  /** Look for silence, now and when it would be too long. */
  watch(): void;
  request(frame: object, answered?: (answer: Message) => void): void;
  send(frame: object): void;
  receive(text: string): void;
  answer(message: Message): void;
  /** Close the socket, and hear no more of it. */
  drop(): void;
  /** The connection is lost: connect again, unless the code forbids it. */
  lose(code?: number, reason?: string): void;
  /** Close for good. */
  end(code: number, reason: string): void;
  /** Of the page. */
  handleEvent(event: Event): void;
}

export type CreateCall = (
  subscription: Subscription,
  room: Member,
  event: string,
  data?: unknown,
  options?: CallOptions,
  /** Takes the items of a stream. */
  item?: (item: unknown) => void,
) => Call;
export type CreateStream = (start: (item: (item: unknown) => void) => Call) => AsyncIterableIterator<any>;
export type CreateSubscription = (connection: Connection, name: string, since?: string) => Subscription;
export type CreateConnection = (url: URL, options: import("./fastws.js").ConnectOptions) => Connection;
