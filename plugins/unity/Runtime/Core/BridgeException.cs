// SPDX-License-Identifier: MIT
using System;

namespace RestBridge
{
    /// <summary>Why a call failed; the message is one sentence for people.</summary>
    public enum BridgeFailure
    {
        /// <summary>The native library is missing, or is an older one.</summary>
        Library,
        /// <summary>Nothing came in time; is the daemon running?</summary>
        Timeout,
        /// <summary>The daemon said no; its sentence is the message.</summary>
        Refused,
        /// <summary>An argument is wrong.</summary>
        Argument,
        /// <summary>Bytes that are no message of this protocol, or of another version.</summary>
        Protocol,
        /// <summary>Memory, sockets.</summary>
        System,
        /// <summary>The connection was closed meanwhile.</summary>
        Closed
    }

    /// <summary>A call to the daemon or the native library that failed.</summary>
    public sealed class BridgeException : Exception
    {
        /// <summary>What kind of failure it is.</summary>
        public BridgeFailure Failure { get; private set; }

        internal BridgeException(BridgeFailure failure, string message, Exception inner = null)
            : base(message, inner)
        {
            Failure = failure;
        }

        internal static BridgeException Of(Native.Result result)
        {
            BridgeFailure failure =
                result == Native.Result.Timeout ? BridgeFailure.Timeout
                : result == Native.Result.Refused ? BridgeFailure.Refused
                : result == Native.Result.Argument ? BridgeFailure.Argument
                : result == Native.Result.Protocol ? BridgeFailure.Protocol
                : BridgeFailure.System;
            return new BridgeException(failure, Utf8.Text(Native.rb_last_error()));
        }

        internal static BridgeException NoLibrary(Exception inner)
        {
            string why = inner is EntryPointNotFoundException
                ? "The native library rest_bridge is older than this package; build it anew"
                : "The native library rest_bridge was not found; build it";
            return new BridgeException(
                BridgeFailure.Library,
                why + " with plugins/unity/Tools~/build_native.py (README, \"The native library\"). ["
                    + inner.Message + "]",
                inner);
        }
    }
}
