// SPDX-License-Identifier: MIT
#include "RestBridgeSpeakAction.h"

URestBridgeSpeakAction* URestBridgeSpeakAction::Speak(URestBridgeFaceComponent* InFace, const TArray<uint8>& InWavBytes, const TArray<FRestBridgeMark>& InMarks)
{
	URestBridgeSpeakAction* Action = NewObject<URestBridgeSpeakAction>();
	Action->Face = InFace;
	Action->WavBytes = InWavBytes;
	Action->Marks = InMarks;
	Action->RegisterWithGameInstance(InFace);
	return Action;
}

void URestBridgeSpeakAction::Activate()
{
	if (Face != nullptr)
	{
		Face->OnLineStarted.AddDynamic(this, &URestBridgeSpeakAction::HandleStarted);
		Face->OnLineMark.AddDynamic(this, &URestBridgeSpeakAction::HandleMark);
		Face->OnLineFinished.AddDynamic(this, &URestBridgeSpeakAction::HandleFinished);
		Face->OnStateChanged.AddDynamic(this, &URestBridgeSpeakAction::HandleState);
		Line = Face->SpeakWav(WavBytes, Marks);
	}
	if (Line.IsEmpty())
	{
		FRestBridgeLineEvent Event;
		Event.bInterrupted = true;
		Event.Error = Face == nullptr ? TEXT("No face was given.") : TEXT("The line could not be spoken: no connection, or no 16-bit .wav; see the log.");
		Finish(Event);
	}
}

void URestBridgeSpeakAction::HandleStarted(const FRestBridgeLineEvent& Event)
{
	if (Event.Line == Line)
	{
		Started.Broadcast(Event);
	}
}

void URestBridgeSpeakAction::HandleMark(const FRestBridgeLineEvent& Event)
{
	if (Event.Line == Line)
	{
		MarkReached.Broadcast(Event);
	}
}

void URestBridgeSpeakAction::HandleFinished(const FRestBridgeLineEvent& Event)
{
	if (Event.Line == Line)
	{
		Finish(Event);
	}
}

void URestBridgeSpeakAction::HandleState(ERestBridgeState State)
{
	if (State == ERestBridgeState::Off)
	{
		FRestBridgeLineEvent Event;
		Event.Line = Line;
		Event.bInterrupted = true;
		Event.Error = TEXT("The component was disconnected.");
		Finish(Event);
	}
}

void URestBridgeSpeakAction::Finish(const FRestBridgeLineEvent& Event)
{
	if (Face != nullptr)
	{
		Face->OnLineStarted.RemoveDynamic(this, &URestBridgeSpeakAction::HandleStarted);
		Face->OnLineMark.RemoveDynamic(this, &URestBridgeSpeakAction::HandleMark);
		Face->OnLineFinished.RemoveDynamic(this, &URestBridgeSpeakAction::HandleFinished);
		Face->OnStateChanged.RemoveDynamic(this, &URestBridgeSpeakAction::HandleState);
	}
	Finished.Broadcast(Event);
	SetReadyToDestroy();
}
