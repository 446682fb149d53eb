// SPDX-License-Identifier: MIT
using UnityEngine;

namespace RestBridge
{
    /// <summary>A component that uses a connection: its own, or the scene's only one.</summary>
    public abstract class RestBridgeBehaviour : MonoBehaviour
    {
        [Tooltip("The connection to use; empty for the scene's first one.")]
        [SerializeField] private RestBridgeConnection connection = null;

        /// <summary>The connection; null where there is none.</summary>
        public RestBridgeConnection Connection
        {
            get { return connection != null ? connection : RestBridgeConnection.Default; }
            set { connection = value; }
        }

        /// <summary>The client of the connection; null while there is none.</summary>
        protected BridgeClient Client
        {
            get
            {
                RestBridgeConnection used = Connection;
                return used != null ? used.Client : null;
            }
        }
    }
}
