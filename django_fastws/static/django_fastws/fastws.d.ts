/**
 * Browser client of the live rooms of django_fastws, protocol fastws.v1. Times are in milliseconds.
 *
 * Nothing has to be declared: then every event and payload is accepted. `manage.py ws_schema --format typescript` writes
 * a file that declares the rooms of a project, after which mistakes are type errors:
 *
 * ```ts
 * declare module "./fastws.js" {
 *   interface Rooms {
 *     [name: `tickets/${number}`]: {
 *       state: Said[];
 *       meta: { name: string };
 *       events: { said: Said };
 *       calls: { say: { data: { text: string }; answer: number }; history: { data: {}; item: Said } };
 *     };
 *   }
 * }
 * ```
 */

/**
 * Rooms by the pattern of their names, as template literals: `tickets/${number}`. Each is a {@link RoomTypes}.
 *
 * Where two patterns could both match, such as `chat/${string}` and `chat/${string}/typing`, TypeScript refuses them as
 * keys. Then any key will do, and the pattern is the property `name` of its room; the more special one counts.
 */
export interface Rooms {}

/** Events of the server to this client alone (`ws.emit`), with their data. */
export interface Emits {}

/** What the server may ask this client (`ws.ask`): `{ event: { data: ...; answer: ... } }`. */
export interface Asks {}

/** What can be declared of one room. What is left out is not there, except for `state` and `value`. */
export interface RoomTypes {
  /** The pattern of its names, unless that is its key in {@link Rooms}. */
  name?: string;
  /** There is a history: a join may go on from a position. */
  history?: true;
  /** What `on("state")` gets. */
  state?: unknown;
  /** What is broadcast, with its data. */
  events?: object;
  /** What can be called: `{ data, answer }`, or `{ data, item }` of what can be streamed. */
  calls?: object;
  /** There is presence: the card of a member. */
  meta?: unknown;
  /** There is presence, and members are told how many are present, and not who. */
  count?: true;
  /** The values of a room with `latest`. */
  value?: unknown;
}

/** Of `connect`. */
export interface ConnectOptions {
  /** Gives the token that is sent with hello, once at the start, and once more whenever the server refuses it (4401). */
  token?: (() => MaybePromise<string | undefined>) | undefined;
  /** The subprotocols to offer; by default `fastws.v1.json`. */
  protocols?: string | string[] | undefined;
  /** The class of sockets; by default the global one. */
  WebSocket?: (new (url: string | URL, protocols?: string | string[]) => WebSocket) | undefined;
}

/**
 * Of the connection:
 *
 * - `connecting`, until the server has answered to hello;
 * - `open`;
 * - `waiting` for the next attempt, in `retryIn` ms; Infinity in a page that is left, until somebody comes back to it;
 * - `closed` for good: by `live.close()`, by the server with 1008 or a code from 4400 to 4499, or with 4400 because no
 *   socket can be made, such as of a URL with another scheme.
 */
export type Status =
  | { state: "connecting"; retryIn?: undefined; code?: undefined; reason?: undefined }
  | { state: "open"; retryIn?: undefined; code?: undefined; reason?: undefined }
  | { state: "waiting"; retryIn: number; code?: undefined; reason?: undefined }
  | { state: "closed"; retryIn?: undefined; code: number; reason: string };

/** Of a join: `since` is the position to go on from. A room that is declared without a history takes none. */
export interface JoinOptions<Types = any> {
  since?: (Types extends { history: true } ? string : never) | null | undefined;
}

/** Of a stream. */
export interface StreamOptions {
  /** In which the stream must have ended. By default there is no limit. */
  timeout?: number | undefined;
  /** Cancels the call. */
  signal?: AbortSignal | undefined;
}

/** Of a call. */
export interface CallOptions {
  /** In which the answer must have come, waiting for the connection included; by default 10,000. Infinity: no limit. */
  timeout?: number | undefined;
  /** Cancels the call, here and on the server. */
  signal?: AbortSignal | undefined;
  /** Done once, even if the connection is lost before the answer: then it is sent again, with the same id. */
  once?: boolean | undefined;
  /** Wait until the room is joined again after a loss, instead of `unavailable`. At most 100 calls wait in a room. */
  queue?: boolean | undefined;
}

/** A broadcast as it came: the second argument of its listeners. */
export interface Frame<Data = any> {
  room: string;
  event: string;
  data: Data;
  /** Its position, in rooms with history. */
  at?: string;
  /** The presence key of the sender of a relayed event. */
  from?: string;
}

/** One who is present. */
export interface Presence<Meta = any> {
  meta: Meta;
  /** How many connections are there for this key. */
  connections: number;
}

/** Why the server has taken us out of a room. */
export interface Left {
  code: number;
  reason: string;
}

/**
 * What a call, a stream or a join failed with. `code` is one of those of the protocol, or of the client:
 *
 * - `unknown`: the connection was lost before the answer. The call may have happened;
 * - `unavailable`: it was not sent, for want of a connection;
 * - `timeout`, `cancelled`: by the options of the call. It may have happened;
 * - `not_joined`: the room was left.
 */
export class LiveError extends Error {
  /** As an answer to an ask: `throw new LiveError("not_found", "there is none")`. */
  constructor(code: string, message?: string, details?: { fields?: Record<string, string[]> });
  code: string;
  /** What is wrong with which field of the payload; empty if it is of none. */
  fields: Record<string, string[]>;
  /** Whether the same may succeed later. */
  retry: boolean;
  /** How long to wait until then, if the server says so. */
  retryAfter: number | undefined;
}

/** The rooms of one name. Each `join` gives a room of its own: what it listens to ends with its own `leave`. */
export interface Room<Types = any> {
  readonly name: string;

  /**
   * The position up to which this room has heard everything, in rooms with history: in a listener, that of what it hears.
   * A later `join` takes it as `since`, in another page too. Undefined in rooms without history, and until there is a
   * state if that is what the room starts from. Read it before `leave`.
   */
  readonly at: string | undefined;

  /**
   * Listen to an event, until the returned function is called or the room is left.
   *
   * "state" starts anew from the state: at first, and whenever events may have been missed. It is undefined in a room
   * that has none. Events may repeat what is in it.
   */
  on(event: "state", fn: (state: Of<Types, "state", any>) => void): () => void;
  /** All who are present, by key, whenever that changes. */
  on(
    event: IfHas<Types, "meta", "presence">,
    fn: (people: Map<string, Presence<Of<Types, "meta", any>>>) => void,
  ): () => void;
  /** How many are present, in a room that does not say who, whenever that changes. */
  on(event: IfHas<Types, "count", "count">, fn: (count: number) => void): () => void;
  /** The newest value of each key, and which has changed. It is the same Map each time: copy what you keep. */
  on(event: "latest", fn: (latest: Map<string, Of<Types, "value", any>>, key?: string) => void): () => void;
  /** The server has taken us out. We are not joined any more, and `live.join` asks again. */
  on(event: "left", fn: (left: Left) => void): () => void;
  /** The server has refused the join. With `retry`, it is tried again; else we are not joined any more. */
  on(event: "error", fn: (error: LiveError) => void): () => void;
  /** A broadcast or relayed event. */
  on<Name extends EventOf<Types>>(
    event: Name,
    fn: (data: DataOf<Types, Name>, frame: Frame<DataOf<Types, Name>>) => void,
  ): () => void;

  /**
   * Send an event, and wait for its answer. Rejects with a {@link LiveError}.
   *
   * At first it waits for the connection and the join. When the connection is lost, it rejects at once, until the room
   * is joined again: with `unknown` if it was under way, `unavailable` if it was not sent; but see `once` and `queue`.
   */
  call<Name extends CallOf<Types>>(
    event: Name,
    ...args: Arguments<PayloadOf<Types, Name>, CallOptions>
  ): Promise<AnswerOf<Types, Name>>;

  /** Send an event whose handler is a generator, and iterate over its items. Leaving the loop cancels it. */
  stream<Name extends StreamOf<Types>>(
    event: Name,
    ...args: Arguments<PayloadOf<Types, Name>, StreamOptions>
  ): AsyncIterableIterator<ItemOf<Types, Name>>;

  /** Leave. The server is told when all rooms of this name have left. */
  leave(): void;
}

/** What `connect` gives. */
export interface Live {
  readonly status: Status;

  /** Listen to the status of the connection, until the returned function is called. */
  on(event: "status", fn: (status: Status) => void): () => void;
  /** Listen to what the server sends to this client alone. */
  on<Name extends keyof Declared<Emits> & string>(event: Name, fn: (data: Declared<Emits>[Name]) => void): () => void;

  /**
   * Answer what the server asks, until the returned function is called. Another function for the event replaces this.
   *
   * What it throws is the answer's error: a {@link LiveError} as it is, anything else as `failed`.
   */
  answer<Name extends keyof Declared<Asks> & string>(
    event: Name,
    fn: (data: Of<Declared<Asks>[Name], "data", any>) => MaybePromise<Of<Declared<Asks>[Name], "answer", any>>,
  ): () => void;

  /**
   * Join a room, for as long as the connection is not closed: after each reconnect it is joined again, and resumed from
   * where it was.
   *
   * @param options since: the position that the page was rendered at, `{% room_position %}`, or that of another room,
   *     {@link Room.at}. From there, events come instead of the state, if the server still has all of them. An empty one
   *     is none. While the room is joined already, both get the state.
   */
  join<const Name extends string>(name: Name, options?: JoinOptions<RoomOf<Name>>): Room<RoomOf<Name>>;

  /** Close for good. Calls under way reject. */
  close(): void;
}

/**
 * Connect, now and again until it is closed.
 *
 * @param url absolute or relative to the page, with http or ws; by default `/ws/live` of this host.
 */
export function connect(url?: string | URL, options?: ConnectOptions): Live;

type MaybePromise<T> = T | PromiseLike<T>;
type IsAny<T> = 0 extends 1 & T ? true : false;
/** The property of a type; `any` of what is not declared. */
type Of<T, Key extends string, Default> = IsAny<T> extends true ? any : T extends { [_ in Key]: infer V } ? V : Default;
/** A value for types that have the property, and for `any`. */
type IfHas<T, Key extends string, Value> =
  IsAny<T> extends true ? Value : T extends { [_ in Key]: unknown } ? Value : never;
type Declared<T> = keyof T extends never ? any : T;
type Arguments<Data, Options> = {} extends Data
  ? [data?: Data, options?: Options | undefined]
  : [data: Data, options?: Options | undefined];

type EventOf<T> = keyof Of<T, "events", {}> & string;
type DataOf<T, Name extends EventOf<T>> = Of<T, "events", {}>[Name];
type Calls<T> = Of<T, "calls", {}>;
type CallOf<T> = KeyWith<Calls<T>, "answer">;
type StreamOf<T> = KeyWith<Calls<T>, "item">;
type KeyWith<T, Key extends string> =
  IsAny<T> extends true ? string : { [K in keyof T]: T[K] extends { [_ in Key]: unknown } ? K : never }[keyof T] & string;
type PayloadOf<T, Name extends string> = Of<Of<Calls<T>, Name, any>, "data", {}>;
type AnswerOf<T, Name extends string> = Of<Of<Calls<T>, Name, any>, "answer", any>;
type ItemOf<T, Name extends string> = Of<Of<Calls<T>, Name, any>, "item", any>;

type PatternOf<Key> = Key extends keyof Rooms ? (Rooms[Key] extends { name: infer Pattern } ? Pattern : Key) : never;
type Matching<Name, Key = keyof Rooms> = Key extends keyof Rooms ? (Name extends PatternOf<Key> ? Key : never) : never;
type Intersection<T> = (T extends unknown ? (x: T) => void : never) extends (x: infer I) => void ? I : never;
/** Of several keys, the one whose pattern is within those of all the others. */
type MostSpecial<Key extends keyof Rooms, All = Intersection<PatternOf<Key>>> = Key extends keyof Rooms
  ? PatternOf<Key> extends All
    ? Key
    : never
  : never;

/** What is declared of the room with this name; `any` if nothing is. */
export type RoomOf<Name extends string> = [Matching<Name>] extends [never] ? any : Rooms[MostSpecial<Matching<Name>>];

export {};
