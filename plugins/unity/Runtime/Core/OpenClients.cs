// SPDX-License-Identifier: MIT
using System.Collections.Generic;

namespace RestBridge
{
    /// <summary>
    /// All clients that are open, so that they can be closed before managed code goes away under
    /// their receive threads: a domain reload, the end of play mode, quitting.
    /// </summary>
    public static class OpenClients
    {
        private static readonly List<BridgeClient> Clients = new List<BridgeClient>();

        /// <summary>How many there are.</summary>
        public static int Count
        {
            get { lock (Clients) return Clients.Count; }
        }

        /// <summary>Closes them all; harmless if there are none.</summary>
        public static void CloseAll()
        {
            BridgeClient[] open;
            lock (Clients) open = Clients.ToArray();
            foreach (BridgeClient client in open) client.Dispose();
        }

        internal static void Add(BridgeClient client)
        {
            lock (Clients) Clients.Add(client);
        }

        internal static void Remove(BridgeClient client)
        {
            lock (Clients) Clients.Remove(client);
        }
    }
}
