// SPDX-License-Identifier: MIT
using System;
using System.IO;

namespace RestBridge
{
    /// <summary>How pictures travel.</summary>
    public enum PictureFormat
    {
        /// <summary>8 bits each of red, green, blue, straight alpha: the best on one computer.</summary>
        Rgba = 0,
        /// <summary>The same as blue, green, red, alpha.</summary>
        Bgra = 1,
        /// <summary>JPEG files, for networks; without transparency.</summary>
        Jpeg = 2
    }

    /// <summary>Where the daemon is and what to receive of it.</summary>
    [Serializable]
    public sealed class BridgeOptions
    {
        /// <summary>Address of pictures; empty for none.</summary>
        public string Frames = "tcp://127.0.0.1:5570";
        /// <summary>Address of voice, face values and events; empty for none.</summary>
        public string Events = "tcp://127.0.0.1:5571";
        /// <summary>Address of requests; empty for none.</summary>
        public string Control = "tcp://127.0.0.1:5572";
        /// <summary>Address of pushed speech; empty for none.</summary>
        public string Speech = "tcp://127.0.0.1:5573";
        /// <summary>How pictures travel.</summary>
        public PictureFormat Format = PictureFormat.Rgba;
        /// <summary>Receive the voice.</summary>
        public bool Voice = true;
        /// <summary>Receive face values.</summary>
        public bool Rig = true;
        /// <summary>Pictures that are kept to be picked by time, 1..64.</summary>
        public int HistoryFrames = 12;
        /// <summary>Voice that is kept, in milliseconds, 100..10000.</summary>
        public int VoiceBufferMs = 2000;
        /// <summary>Keys, where the daemon wants some (another computer); else null.</summary>
        [NonSerialized] public ClientKeys Keys;

        /// <summary>Addresses of a daemon on another host, with the ports counted from one.</summary>
        /// <param name="host">name or IPv4 address</param>
        /// <param name="port">of the pictures; events, control and speech have the next three</param>
        public static BridgeOptions At(string host, int port = 5570)
        {
            string address = "tcp://" + host + ":";
            return new BridgeOptions
            {
                Frames = address + port,
                Events = address + (port + 1),
                Control = address + (port + 2),
                Speech = address + (port + 3)
            };
        }
    }

    /// <summary>The three keys of a client, as `rest-bridge keys new NAME` writes them.</summary>
    public sealed class ClientKeys
    {
        private const int KeyLength = 40;

        /// <summary>This client's public key, 40 characters.</summary>
        public string Public { get; private set; }
        /// <summary>This client's secret key, 40 characters.</summary>
        public string Secret { get; private set; }
        /// <summary>The daemon's public key, 40 characters.</summary>
        public string Server { get; private set; }

        /// <summary>Keys from three texts of 40 characters.</summary>
        /// <exception cref="BridgeException">one is of another length</exception>
        public ClientKeys(string publicKey, string secretKey, string serverKey)
        {
            Public = Checked("public", publicKey);
            Secret = Checked("secret", secretKey);
            Server = Checked("server", serverKey);
        }

        /// <summary>Reads a key file.</summary>
        /// <exception cref="BridgeException">it is missing, or no key file</exception>
        public static ClientKeys Load(string path)
        {
            string[] lines;
            try
            {
                lines = File.ReadAllLines(path);
            }
            catch (Exception error)
            {
                throw new BridgeException(
                    BridgeFailure.Argument,
                    "The key file cannot be read; make one with `rest-bridge keys new NAME` on the "
                        + "daemon's computer. [" + error.Message + "]",
                    error);
            }
            return Parse(lines);
        }

        internal static ClientKeys Parse(string[] lines)
        {
            string publicKey = null, secretKey = null, serverKey = null;
            foreach (string line in lines)
            {
                int equals = line.IndexOf('=');
                if (equals < 0 || line.TrimStart().StartsWith("#", StringComparison.Ordinal)) continue;
                string value = Unquoted(line.Substring(equals + 1).Trim());
                string key = line.Substring(0, equals).Trim();
                if (key == "public") publicKey = value;
                if (key == "secret") secretKey = value;
                if (key == "server") serverKey = value;
            }
            return new ClientKeys(publicKey, secretKey, serverKey);
        }

        // Z85 uses neither quote nor backslash, so that a key is what stands between two quotes.
        private static string Unquoted(string value)
        {
            if (value.Length < 2 || (value[0] != '"' && value[0] != '\'')) return value;
            int end = value.IndexOf(value[0], 1);
            return end < 0 ? value : value.Substring(1, end - 1);
        }

        private static string Checked(string name, string key)
        {
            if (key != null && key.Length == KeyLength) return key;
            throw new BridgeException(
                BridgeFailure.Argument,
                "The " + name + " key must have 40 characters; take the file that `rest-bridge keys "
                    + "new NAME` wrote.");
        }
    }
}
