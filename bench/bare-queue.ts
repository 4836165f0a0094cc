/** Task queue of the bare workflows. */
export const BARE_QUEUE = 'bench-bare';
