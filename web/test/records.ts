/** Records as Firestore's library gives them. */

export function at(milliseconds: number): { toMillis: () => number } {
  return { toMillis: () => milliseconds };
}

export function writing(partialText: string, more: object = {}, start = 1000): object {
  return {
    name: "cat.jpg",
    bucket: "uploads",
    generation: 1,
    contentType: "image/jpeg",
    model: "a-model",
    partialText,
    lease: { owner: "me", expireTime: at(9000) },
    status: { state: "PROCESSING", attempt: 1, startTime: at(start) },
    ...more,
  };
}

export function described(more: object = {}, start = 1000): object {
  return {
    name: "cat.jpg",
    bucket: "uploads",
    generation: 1,
    contentType: "image/jpeg",
    model: "a-model",
    description: "A cat sleeps.",
    source: "model",
    usage: { promptTokens: 300, completionTokens: 20, totalTokens: 320 },
    status: {
      state: "COMPLETED",
      outcome: "described",
      attempt: 1,
      startTime: at(start),
      firstTextTime: at(start + 700),
      completeTime: at(start + 3000),
    },
    ...more,
  };
}

export function failed(outcome: string, message: string, more: object = {}, start = 1000): object {
  return {
    name: "cat.jpg",
    bucket: "uploads",
    generation: 1,
    status: {
      state: "ERRORED",
      outcome,
      message,
      attempt: 1,
      startTime: at(start),
      completeTime: at(start + 3000),
    },
    ...more,
  };
}
