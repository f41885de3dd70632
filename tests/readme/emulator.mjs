// Has `getFirestore` of the real package speak to the emulator, as MOCK_USER if that is set.

const WRAPPER = "readme:firestore";

export async function resolve(specifier, context, next) {
  if (specifier !== "firebase/firestore") return next(specifier, context);
  const { url } = await next(specifier, context);
  return { url: `${WRAPPER}?${url}`, shortCircuit: true };
}

export async function load(url, context, next) {
  if (!url.startsWith(`${WRAPPER}?`)) return next(url, context);
  const real = JSON.stringify(url.slice(WRAPPER.length + 1));
  const [host, port] = process.env.FIRESTORE_EMULATOR_HOST.split(":");
  const user = process.env.MOCK_USER;
  const options = user ? { mockUserToken: { sub: user } } : {};
  const source = `
    import { connectFirestoreEmulator, getFirestore as ofPackage } from ${real};
    export * from ${real};
    export function getFirestore(...of) {
      const database = ofPackage(...of);
      connectFirestoreEmulator(database, ${JSON.stringify(host)}, ${port}, ${JSON.stringify(options)});
      return database;
    }`;
  return { format: "module", source, shortCircuit: true };
}
