/** The page with the list alone. */

import { Cuttable, showBar } from "../bar.js";
import { connect } from "../django_fastws/fastws.js";
import { followTickets } from "./tickets.js";

const live = connect("/ws/live", { WebSocket: Cuttable });
showBar(live, followTickets(live));
