// SPDX-License-Identifier: MIT
using UnityEngine;

namespace RestBridge.Samples
{
    /// <summary>
    /// Moves a head of your own: put it on a model with ARKit's blend shapes and press Play. Tells in the
    /// console how many of the 52 it has. The daemon: `rest-bridge run`; pictures are not received.
    /// </summary>
    public sealed class MovingHead : MonoBehaviour
    {
        private RestBridgeBlendshapes shapes;
        private int told = -1;

        private void Awake()
        {
            if (RestBridgeConnection.Default == null)
            {
                RestBridgeConnection connection = gameObject.AddComponent<RestBridgeConnection>();
                BridgeOptions options = connection.Options;
                options.Frames = "";
                connection.Options = options;
                connection.Reconnect();
            }
            shapes = gameObject.AddComponent<RestBridgeBlendshapes>();
            shapes.Target = GetComponentInChildren<SkinnedMeshRenderer>();
            gameObject.AddComponent<AudioSource>();
            gameObject.AddComponent<RestBridgeVoice>();
        }

        private void Update()
        {
            if (shapes.NumMapped == told) return;
            told = shapes.NumMapped;
            Debug.Log("[RestBridge] " + told + " of " + RigValues.NumArkit + " shapes found.", this);
        }
    }
}
