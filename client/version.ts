/** The package's version, as the client tells it to an edge. A browser cannot read package.json; a test compares them. */
export const clientVersion = '0.1.0';
